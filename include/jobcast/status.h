/* Status codes of every C function of jobcast. 0 is success, errors are negative. */
#ifndef JOBCAST_STATUS_H
#define JOBCAST_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

enum jobcast_status {
  JOBCAST_OK = 0,
  JOBCAST_INVALID = -1,      /* an argument or the input is wrong */
  JOBCAST_UNAUTHORIZED = -2, /* authenticate first, or not allowed */
  JOBCAST_NOT_FOUND = -3,    /* absent, or not yours */
  JOBCAST_FULL = -4,         /* a stated limit is reached */
  JOBCAST_RETRY = -5,        /* try again: a passing condition */
  JOBCAST_CLOSED = -6,       /* the other side is gone */
  JOBCAST_CORRUPT = -7,      /* outside bytes that cannot be trusted */
  JOBCAST_INTERNAL = -8      /* our own fault, or the system's */
};

#ifdef __cplusplus
}
#endif
#endif
