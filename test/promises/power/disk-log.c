// Preloaded into a process (LD_PRELOAD): logs each file change and each fsync, with times, to a file below DISK_LOG. That
// file is in the page cache as soon as it is written, so a SIGKILL loses nothing.
//
// A change is logged after it is made, an fsync after it returns, so an acknowledgement always comes after the log entry.
// Files are identified by inode. Writes through stdio are not logged; see disk-log.ts.
//
// DISK_LOG_SYNC_US: extra time of each fsync, as on a real disk, so that there is something to lose.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct record {
  uint64_t kind, begun, ended, inode, at, length; // at: offset, or the inode of the folder
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int log_file = -1;
static pid_t log_owner = 0;

/* Another thread may hold the mutex during a fork. */
static void renew_mutex(void) { mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER; }
__attribute__((constructor)) static void prepare(void) { pthread_atfork(NULL, NULL, renew_mutex); }

#define REAL(name) \
  static __typeof__(name) *real; \
  if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int real_open(const char *path, int flags, int mode) {
  static int (*real)(const char *, int, ...);
  if (!real) real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
  return real(path, flags, mode);
}

/* Called with the mutex held. A forked process has its own log. */
static int log_ready(void) {
  if (log_owner == getpid()) return log_file >= 0;
  log_owner = getpid();
  const char *folder = getenv("DISK_LOG");
  char path[4096];
  if (!folder) return 0;
  snprintf(path, sizeof path, "%s/%d.%llu", folder, (int)log_owner, (unsigned long long)now());
  log_file = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  return log_file >= 0;
}

static void note(struct record record, const struct iovec *parts, int count) {
  struct iovec all[64];
  all[0] = (struct iovec){&record, sizeof record};
  int used = 1;
  uint64_t left = parts ? record.length : 0;
  for (int at = 0; at < count && used < 64 && left > 0; at += 1) {
    uint64_t size = parts[at].iov_len < left ? parts[at].iov_len : left;
    all[used++] = (struct iovec){parts[at].iov_base, size};
    left -= size;
  }
  REAL(writev);
  if (left == 0 && real(log_file, all, used) >= 0) return;
  abort(); // a log with a gap would prove nothing
}

static int regular(int file, struct stat *status) { return fstat(file, status) == 0 && S_ISREG(status->st_mode); }

static ssize_t changed(int file, const struct iovec *parts, int count, off_t offset, ssize_t (*act)(int, const struct iovec *, int, off_t)) {
  struct stat status;
  if (!regular(file, &status)) return act(file, parts, count, offset);
  pthread_mutex_lock(&mutex);
  uint64_t begun = now();
  ssize_t written = act(file, parts, count, offset);
  if (written > 0 && log_ready()) {
    uint64_t at = offset >= 0 ? (uint64_t)offset : (uint64_t)lseek(file, 0, SEEK_CUR) - (uint64_t)written;
    note((struct record){'W', begun, now(), status.st_ino, at, (uint64_t)written}, parts, count);
  }
  pthread_mutex_unlock(&mutex);
  return written;
}

static ssize_t act_writev(int file, const struct iovec *parts, int count, off_t offset) {
  (void)offset;
  REAL(writev);
  return real(file, parts, count);
}
static ssize_t act_pwritev(int file, const struct iovec *parts, int count, off_t offset) {
  REAL(pwritev);
  return real(file, parts, count, offset);
}
static ssize_t act_write(int file, const struct iovec *parts, int count, off_t offset) {
  (void)count, (void)offset;
  REAL(write);
  return real(file, parts[0].iov_base, parts[0].iov_len);
}
static ssize_t act_pwrite(int file, const struct iovec *parts, int count, off_t offset) {
  (void)count;
  REAL(pwrite);
  return real(file, parts[0].iov_base, parts[0].iov_len, offset);
}

ssize_t write(int file, const void *bytes, size_t size) {
  struct iovec part = {(void *)bytes, size};
  return changed(file, &part, 1, -1, act_write);
}
ssize_t pwrite(int file, const void *bytes, size_t size, off_t offset) {
  struct iovec part = {(void *)bytes, size};
  return changed(file, &part, 1, offset, act_pwrite);
}
ssize_t pwrite64(int file, const void *bytes, size_t size, off_t offset) { return pwrite(file, bytes, size, offset); }
ssize_t writev(int file, const struct iovec *parts, int count) { return changed(file, parts, count, -1, act_writev); }
ssize_t pwritev(int file, const struct iovec *parts, int count, off_t offset) {
  return changed(file, parts, count, offset, act_pwritev);
}
ssize_t pwritev64(int file, const struct iovec *parts, int count, off_t offset) {
  return pwritev(file, parts, count, offset);
}

static void note_alone(struct record record) {
  pthread_mutex_lock(&mutex);
  if (log_ready()) note(record, NULL, 0);
  pthread_mutex_unlock(&mutex);
}

int ftruncate(int file, off_t length) {
  REAL(ftruncate);
  struct stat status;
  uint64_t begun = now();
  int result = real(file, length);
  if (result == 0 && regular(file, &status))
    note_alone((struct record){'T', begun, now(), status.st_ino, (uint64_t)length, 0});
  return result;
}
int ftruncate64(int file, off_t length) { return ftruncate(file, length); }
int truncate(const char *path, off_t length) {
  REAL(truncate);
  struct stat status;
  uint64_t begun = now();
  int result = real(path, length);
  if (result == 0 && stat(path, &status) == 0)
    note_alone((struct record){'T', begun, now(), status.st_ino, (uint64_t)length, 0});
  return result;
}
int truncate64(const char *path, off_t length) { return truncate(path, length); }

static int synced(int file, int (*real)(int)) {
  struct stat status;
  uint64_t begun = now();
  const char *delay = getenv("DISK_LOG_SYNC_US");
  if (delay) usleep((useconds_t)atoi(delay));
  int result = real(file);
  if (result == 0 && fstat(file, &status) == 0)
    note_alone((struct record){'S', begun, now(), status.st_ino, 0, 0});
  return result;
}
int fsync(int file) {
  REAL(fsync);
  return synced(file, real);
}
int fdatasync(int file) {
  REAL(fdatasync);
  return synced(file, real);
}

/* A new name of a file; it is on the disk once its folder is synced. */
static void note_name(uint64_t kind, int folder, const char *path, uint64_t begun) {
  struct stat status, parent;
  char copy[4096];
  snprintf(copy, sizeof copy, "%s", path);
  if (fstatat(folder, path, &status, AT_SYMLINK_NOFOLLOW) != 0) return;
  if (fstatat(folder, dirname(copy), &parent, 0) != 0) return;
  note_alone((struct record){kind, begun, now(), status.st_ino, parent.st_ino, 0});
}

static int is_there(int folder, const char *path) { return faccessat(folder, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0; }

static int opened(int folder, const char *path, int flags, int mode) {
  static int (*real)(int, const char *, int, ...);
  if (!real) real = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat64");
  uint64_t begun = now();
  int is_new = (flags & O_CREAT) && !is_there(folder, path);
  int file = real(folder, path, flags, mode);
  struct stat status;
  if (file >= 0 && is_new) note_name('N', folder, path, begun);
  else if (file >= 0 && (flags & O_TRUNC) && regular(file, &status))
    note_alone((struct record){'T', begun, now(), status.st_ino, 0, 0});
  return file;
}

#define MODE(flags) \
  int mode = 0; \
  if (__OPEN_NEEDS_MODE(flags)) { \
    va_list rest; \
    va_start(rest, flags); \
    mode = va_arg(rest, int); \
    va_end(rest); \
  }

int open(const char *path, int flags, ...) {
  MODE(flags)
  return opened(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
  MODE(flags)
  return opened(AT_FDCWD, path, flags, mode);
}
int openat(int folder, const char *path, int flags, ...) {
  MODE(flags)
  return opened(folder, path, flags, mode);
}
int openat64(int folder, const char *path, int flags, ...) {
  MODE(flags)
  return opened(folder, path, flags, mode);
}
int mkdir(const char *path, mode_t mode) {
  REAL(mkdir);
  uint64_t begun = now();
  int result = real(path, mode);
  if (result == 0) note_name('N', AT_FDCWD, path, begun);
  return result;
}
int rename(const char *from, const char *to) {
  REAL(rename);
  uint64_t begun = now();
  /* The replaced file cannot be restored, so the new name counts as on the disk. */
  int replaces = is_there(AT_FDCWD, to);
  int result = real(from, to);
  if (result == 0) note_name(replaces ? 'D' : 'R', AT_FDCWD, to, begun);
  return result;
}
FILE *fopen(const char *path, const char *mode) {
  REAL(fopen);
  uint64_t begun = now();
  int is_new = mode[0] != 'r' && !is_there(AT_FDCWD, path);
  FILE *file = real(path, mode);
  if (file && is_new) note_name('N', AT_FDCWD, path, begun);
  return file;
}
FILE *fopen64(const char *path, const char *mode) { return fopen(path, mode); }
