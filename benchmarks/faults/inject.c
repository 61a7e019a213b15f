/* Loaded with LD_PRELOAD: counts the calls that change a file below one folder. Before each of them (a write: when half of it is written)
 * a function may be called, which copies the folder: a process that is killed there leaves just that. From the call of a chosen number on,
 * they may fail, as on a full disk. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static char root[PATH_MAX];
static long chosen;
static int failure, report = -1;
static long count;
static void (*observe)(long number);
static __thread int observing;

/* folder: absolute path; number: of the first call that fails, from 1, or 0 for none; error: their errno;
 * descriptor: a line "CALL PATH" is written there for each call up to that one; function: called with the number of each call, or NULL. */
void inject_fault(const char *folder, long number, int error, int descriptor, void (*function)(long)) {
    chosen = number, failure = error, report = descriptor, count = 0, observe = function;
    snprintf(root, sizeof root, "%s/", folder);
}

/* The number of the call if it is observed, 0 if not; -1: it fails with errno. */
static long reach(const char *call, const char *path) {
    char line[PATH_MAX + 32];
    if (!*root || observing || !path || strncmp(path, root, strlen(root))) return 0;
    long number = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    if (!chosen || number <= chosen) {
        int length = snprintf(line, sizeof line, "%s %s\n", call, path + strlen(root));
        if (report >= 0) syscall(SYS_write, report, line, (size_t)length);
    }
    if (chosen && number >= chosen) { errno = failure; return -1; }
    return observe ? number : 0;
}

static void stop_at(long number) { observing = 1; observe(number); observing = 0; }

static const char *name_of(int descriptor, char *path) {
    char link[40];
    if (!*root) return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return NULL;
    path[length] = 0;
    return path;
}

static const char *absolute(int folder, const char *name, char *path) {
    char base[PATH_MAX];
    if (!*root || !name || *name == '/') return name;
    if (folder == AT_FDCWD ? !getcwd(base, sizeof base) : !name_of(folder, base)) return NULL;
    snprintf(path, PATH_MAX, "%.2000s/%.2000s", base, name);
    return path;
}

#define NEXT(name) static __typeof__(name) *next; if (!next) next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define AT(call, folder, name, failed) \
    char buffer[PATH_MAX]; \
    long state = reach(call, absolute(folder, name, buffer)); \
    if (state < 0) return failed; \
    if (state) stop_at(state);

ssize_t write(int descriptor, const void *data, size_t size) {
    NEXT(write); char buffer[PATH_MAX];
    long state = reach("write", name_of(descriptor, buffer));
    if (state < 0) return -1;
    if (!state) return next(descriptor, data, size);
    ssize_t half = next(descriptor, data, size / 2);
    stop_at(state);
    ssize_t rest = next(descriptor, (const char *)data + half, size - half);
    return rest < 0 ? half : half + rest;
}
ssize_t pwrite64(int descriptor, const void *data, size_t size, off64_t offset) {
    NEXT(pwrite64); char buffer[PATH_MAX];
    long state = reach("write", name_of(descriptor, buffer));
    if (state < 0) return -1;
    if (!state) return next(descriptor, data, size, offset);
    ssize_t half = next(descriptor, data, size / 2, offset);
    stop_at(state);
    ssize_t rest = next(descriptor, (const char *)data + half, size - half, offset + half);
    return rest < 0 ? half : half + rest;
}
ssize_t writev(int descriptor, const struct iovec *parts, int number) {
    NEXT(writev); char buffer[PATH_MAX];
    long state = reach("write", name_of(descriptor, buffer));
    if (state < 0) return -1;
    if (state) stop_at(state);
    return next(descriptor, parts, number);
}
size_t fwrite(const void *data, size_t size, size_t number, FILE *file) {
    NEXT(fwrite); char buffer[PATH_MAX];
    long state = reach("write", name_of(fileno(file), buffer));
    if (state < 0) return 0;
    if (!state || !size) return next(data, size, number, file);
    size_t half = next(data, size, number / 2, file);
    fflush(file);
    stop_at(state);
    return half + next((const char *)data + half * size, size, number - half, file);
}
int fsync(int descriptor) {
    NEXT(fsync); char buffer[PATH_MAX];
    long state = reach("fsync", name_of(descriptor, buffer));
    if (state < 0) return -1;
    if (state) stop_at(state);
    return next(descriptor);
}
int fdatasync(int descriptor) {
    NEXT(fdatasync); char buffer[PATH_MAX];
    long state = reach("fsync", name_of(descriptor, buffer));
    if (state < 0) return -1;
    if (state) stop_at(state);
    return next(descriptor);
}
int fclose(FILE *file) {
    NEXT(fclose); char buffer[PATH_MAX];
    int changes = (fcntl(fileno(file), F_GETFL) & O_ACCMODE) != O_RDONLY;
    long state = changes ? reach("close", name_of(fileno(file), buffer)) : 0;
    if (state > 0) stop_at(state);
    int status = next(file);
    return state < 0 ? (errno = failure, EOF) : status;
}
int ftruncate64(int descriptor, off64_t size) {
    NEXT(ftruncate64); char buffer[PATH_MAX];
    long state = reach("truncate", name_of(descriptor, buffer));
    if (state < 0) return -1;
    if (state) stop_at(state);
    return next(descriptor, size);
}
/* A full disk lets files be removed and renamed. */
#define REMOVING(call, folder, name) \
    char buffer[PATH_MAX]; \
    long state = reach(call, absolute(folder, name, buffer)); \
    if (state > 0) stop_at(state)

int rename(const char *from, const char *to) { NEXT(rename); REMOVING("rename", AT_FDCWD, to); return next(from, to); }
int renameat(int old, const char *from, int new, const char *to) { NEXT(renameat); REMOVING("rename", new, to); return next(old, from, new, to); }
int unlink(const char *name) { NEXT(unlink); REMOVING("unlink", AT_FDCWD, name); return next(name); }
int unlinkat(int folder, const char *name, int flags) { NEXT(unlinkat); REMOVING("unlink", folder, name); return next(folder, name, flags); }
int remove(const char *name) { NEXT(remove); REMOVING("unlink", AT_FDCWD, name); return next(name); }
int rmdir(const char *name) { NEXT(rmdir); REMOVING("rmdir", AT_FDCWD, name); return next(name); }
int mkdir(const char *name, mode_t mode) { NEXT(mkdir); AT("mkdir", AT_FDCWD, name, -1); return next(name, mode); }
int mkdirat(int folder, const char *name, mode_t mode) { NEXT(mkdirat); AT("mkdir", folder, name, -1); return next(folder, name, mode); }

#define MODE \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { va_list list; va_start(list, flags); mode = va_arg(list, mode_t); va_end(list); }
#define OPEN(folder) if (flags & (O_CREAT | O_TRUNC)) { AT("open", folder, name, -1) }

int open(const char *name, int flags, ...) { NEXT(open); MODE OPEN(AT_FDCWD) return next(name, flags, mode); }
int open64(const char *name, int flags, ...) { NEXT(open64); MODE OPEN(AT_FDCWD) return next(name, flags, mode); }
int openat(int folder, const char *name, int flags, ...) { NEXT(openat); MODE OPEN(folder) return next(folder, name, flags, mode); }
int openat64(int folder, const char *name, int flags, ...) { NEXT(openat64); MODE OPEN(folder) return next(folder, name, flags, mode); }
FILE *fopen(const char *name, const char *how) { NEXT(fopen); if (*how != 'r') { AT("open", AT_FDCWD, name, NULL) } return next(name, how); }
FILE *fopen64(const char *name, const char *how) { NEXT(fopen64); if (*how != 'r') { AT("open", AT_FDCWD, name, NULL) } return next(name, how); }
