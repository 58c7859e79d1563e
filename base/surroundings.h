// What a program finds around itself when it starts is its caller's doing, and not trusted. First call of every main(), before threads.
#pragma once

namespace jobcast {

// Fills descriptors 0, 1 and 2 where they are closed, so that no socket or file of ours becomes standard output: reading and writing them
// still fails as it does on a closed one (EBADF). Unblocks all signals, has ended children reported (SIGCHLD as by default), keeps
// the umask from taking what is made away from its owner, and has a write beyond the limit on a file's size fail (EFBIG) instead of
// ending the program (SIGXFSZ).
void settle_surroundings();

}  // namespace jobcast
