export type JobState = 'scheduled' | 'queued' | 'running' | 'retrying' | 'completed' | 'failed' | 'cancelled';
/** live: page, server and engine answered each other within the last five seconds. stale: the server answers, but its engine is away. */
export type Status = 'closed' | 'connecting' | 'live' | 'stale' | 'polling' | 'offline' | 'unauthorized';

/** The snapshot of docs/protocol.md; unknown values are null. Times are RFC 3339 in UTC. */
export interface Job {
  job_id: string;
  kind: string;
  state: JobState;
  rev: number;
  owner: string;
  queue: string;
  priority: number;
  attempt: number;
  max_attempts: number;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  progress: {
    done: number | string | null;
    total: number | string | null;
    percent: number | null;
    rate: number | null;
    eta_ms: number | null;
    phase: string | null;
    message: string | null;
  } | null;
  cancel: {requested_at: string; by: string | null; acknowledged_at: string | null} | null;
  reason: string | null;
  exit_code: number | null;
  error: string | null;
  result: unknown;
  result_url?: string;
  waiting: {why: string; position: number | null; until: string | null} | null;
  meta: Record<string, unknown>;
}

export interface SubmitRequest {
  kind: string;
  args?: Record<string, unknown>;
  queue?: string;
  priority?: number;
  run_at_ms?: number;
  max_attempts?: number;
  unique_key?: string;
  idempotency_key?: string;
  meta?: Record<string, unknown>;
}

export interface Options {
  url?: string;
  token?: string | null;
  getToken?: (() => string | Promise<string>) | null;
  attempts?: number;
  backoffMs?: number;
  backoffMaxMs?: number;
  retryMs?: number;
  pollMs?: number;
  requestMs?: number;
  submitMs?: number;
  openMs?: number;
  pingMs?: number;
  pongMs?: number;
  pushedMax?: number;
}

export declare class JobcastError extends Error {
  code: string;
  field: string | null;
  status: number;
  /** The least that the server asked to wait for, 0 where it said nothing. */
  retryAfterMs: number;
}

export declare function isTerminal(job: Job): boolean;

/** For sort(): what runs, then what waits, then what is over; the newest first in each. */
export declare function compareJobs(a: Job, b: Job): number;

/** Events: `status` {status, detail}, `job` Job, `gone` {job_id}: no longer there, or no longer yours; `engine` {stale}. */
export declare class Jobcast extends EventTarget {
  constructor(options?: Options);
  readonly status: Status;
  readonly user: string | null;
  readonly token: string | null;
  readonly jobs: Job[];
  connect(): void;
  reconnect(): void;
  close(): void;
  setToken(token: string): void;
  /** (null, error): there is no such job, or no longer. */
  watch(jobId: string, callback: (job: Job | null, error?: JobcastError) => void): () => void;
  watchList(): void;
  /** Repeated with one key while no answer comes, for `submitMs`. */
  submit(request: SubmitRequest, options?: {idempotencyKey?: string}): Promise<Job>;
  cancel(jobId: string): Promise<Job | undefined>;
  retry(jobId: string): Promise<Job>;
  get(jobId: string): Promise<Job>;
  list(query?: string | Record<string, string>): Promise<{jobs: Job[]; next_cursor: string | null}>;
  result(jobId: string): Promise<unknown>;
  log(jobId: string): Promise<string>;
}
