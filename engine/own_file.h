// Files in directories that a job's program can write to as well, since it runs as the engine's own user. Whatever it put in the place of
// one (a FIFO, a symbolic or hard link, a device, a directory) is neither waited for nor followed nor written to. Any thread.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/handle.h"
#include "base/result.h"

namespace jobcast::engine {

// A file is the engine's own if it is a regular one, has this one name, and belongs to the engine's user. `path` is not followed where it
// ends in a symbolic link, nor is its directory, unless that is one of the operator's, which may be a link (`any`).
enum class Parent { real, any };

// Opens an own file; `flags` as for open(2), O_RDONLY or O_RDWR. Errors: not_found (nothing lies there); corrupt (says what lies there
// instead); internal.
[[nodiscard]] Result<Fd> open_own_file(const std::string& path, int flags, Parent parent = Parent::real);
// Makes an empty file, in the place of whatever lies there; `flags` likewise. Errors: corrupt (a directory with something in it, or
// a link in place of the directory); internal, with errno set.
[[nodiscard]] Result<Fd> replace_own_file(const std::string& path, int flags, mode_t mode, Parent parent = Parent::real);
// Its size, without opening it; the directory may be a link. Errors as of open_own_file().
[[nodiscard]] Result<off_t> own_file_size(const std::string& path);
// Removes the name, whatever it is the name of. A directory with something in it stays.
void remove_own_file(const std::string& path);
// What makes the open file no own one, as the end of a sentence that begins with its path; "" for an own one.
[[nodiscard]] std::string not_own(int fd);

}  // namespace jobcast::engine
