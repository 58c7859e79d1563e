#!/usr/bin/env python3
"""Prints what a running engine publishes, one line a change: `rev state job_id snapshot`.

    lane_reader.py /run/jobcast/engine.sock [COUNT]        COUNT: end after so many lines

Standard library only. It does in Python what jobcast/ring.h does in C; docs/shared-memory.md says why in this order. Python has no memory
fences, so this needs a processor that keeps loads in order (x86), and it sleeps at most SLEEP_S at a time: a wake-up that a missing fence
might cost is then late, never lost.
"""
import json
import mmap
import os
import select
import socket
import struct
import sys
import uuid

MAGIC, VERSION, PAGE, UNIT, COPY = 0x6362626A, 1, 4096, 64, 4288
INTENT, ERA, TAIL = 256 // 4, 260 // 4, 384 // 4  # words of the header
ARMED = 128 // 4  # word of the reader's block
RECORD = struct.Struct("=IBBBBIIII16s")
STATES = [None, "scheduled", "queued", "running", "retrying", "completed", "failed", "cancelled"]
EVENT, PADDING = 1, 2
WORD = 0xFFFFFFFF
SLEEP_S = 0.1


class Damaged(Exception):
    pass


def attach(path):
    engine = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    engine.connect(path)
    engine.sendall(b'{"jsonrpc":"2.0","id":1,"method":"attach"}\n')
    line, fds, _, _ = socket.recv_fds(engine, 4096, 3)
    answer = json.loads(line)
    if "error" in answer or len(fds) != 3:
        raise SystemExit(f"the engine refused to attach us: {answer.get('error')}")
    return engine, fds


def decode(image, slots):
    """(rev, state, job id, snapshot) of a private copy, or Damaged."""
    size, kind, state, _, owner, snapshot, slot, rev_low, rev_high, job = RECORD.unpack_from(image)
    fill = lambda n: (n + 7) & ~7
    whole = RECORD.size + fill(owner) + fill(snapshot)
    if kind != EVENT or not 1 <= state <= 7 or owner > 128 or snapshot > 4096 or size != whole or size > len(image):
        raise Damaged("a record that no engine writes")
    if slot != WORD and slot >= slots:
        raise Damaged("a slot that is not there")
    start = RECORD.size + fill(owner)
    return rev_high << 32 | rev_low, STATES[state], str(uuid.UUID(bytes=bytes(job))), bytes(image[start : start + snapshot])


class Lane:
    def __init__(self, region_fd, block_fd):
        size = os.fstat(region_fd).st_size
        self.map = memoryview(mmap.mmap(region_fd, size, mmap.MAP_SHARED, mmap.PROT_READ))
        self.block = memoryview(mmap.mmap(block_fd, PAGE)).cast("I")
        self.words = self.map.cast("I")
        magic, version, size_said, table, self.slots, self.copies, self.ring, ring_bytes = self.words[:8].tolist()
        if magic != MAGIC:
            raise Damaged("this is no region of jobcast")
        if version != VERSION:
            raise Damaged(f"the engine has layout version {version}, this program reads {VERSION}")
        pages = lambda n: (n + PAGE - 1) // PAGE * PAGE
        right = (size, PAGE, PAGE + pages(self.slots * 4), PAGE + pages(self.slots * 4) + pages(self.slots * 2 * COPY))
        if (size_said, table, self.copies, self.ring) != right or self.ring + ring_bytes != size or ring_bytes & (ring_bytes - 1):
            raise Damaged("the header lies")
        self.units = ring_bytes // UNIT
        self.resync()

    def resync(self):
        self.position, self.era = self.words[TAIL], self.words[ERA]

    def slot(self, number):
        for _ in range(16):
            sequence = self.words[PAGE // 4 + number]
            if sequence == 0:
                return None
            start = self.copies + (number * 2 + (sequence & 1)) * COPY
            image = bytes(self.map[start : start + COPY])
            if self.words[PAGE // 4 + number] == sequence:
                return decode(image, self.slots)
        return None  # rewritten all the time: it comes over the ring

    def read(self):
        """The next event, None when there is none, or "lapped"."""
        while True:
            behind = (self.words[TAIL] - self.position) & WORD
            era = self.words[ERA]
            if (era - self.era) & WORD > 1 or behind > self.units:
                return "lapped"
            self.era = era
            if behind == 0:
                return None
            index = self.position % self.units
            room = min(behind, self.units - index)
            start = self.ring + index * UNIT
            image = bytes(self.map[start : start + min(room * UNIT, COPY)])
            if (self.words[INTENT] - self.position) & WORD > self.units:
                return "lapped"
            size, kind = image[:4], image[4]
            units = (struct.unpack("=I", size)[0] + UNIT - 1) // UNIT
            if units == 0 or units > room or (kind == PADDING and (index == 0 or index + units != self.units)):
                raise Damaged("a record of impossible length")
            self.position = (self.position + units) & WORD
            if kind != PADDING:
                return decode(image, self.slots)

    def arm(self):
        self.block[ARMED] = 1
        if self.words[TAIL] == self.position:
            return True
        self.block[ARMED] = 0
        return False


def events(path):
    """Endless: the newest state of every job, then each change. Ends when the engine does."""
    engine, (region, block, bell_fd) = attach(path)
    bell = socket.socket(fileno=bell_fd)
    lane = Lane(region, block)
    alive, every_slot = True, True
    while True:
        if every_slot:
            lane.resync()
            yield from (event for event in map(lane.slot, range(lane.slots)) if event)
            every_slot = False
        event = lane.read()
        if event == "lapped":
            every_slot = True
        elif event:
            yield event
        elif not alive:
            return
        elif lane.arm() and select.select([bell], [], [], SLEEP_S)[0]:
            alive = bell.recv(64) != b""


def main():
    left = int(sys.argv[2]) if len(sys.argv) > 2 else -1
    for rev, state, job, snapshot in events(sys.argv[1]):
        print(rev, state, job, snapshot.decode("utf-8", "replace"), flush=True)
        left -= 1
        if left == 0:
            return


if __name__ == "__main__":
    main()
