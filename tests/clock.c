/* A program that is started with this preloaded has the wall clock that the test moves: MOVED_CLOCK names a file of eight
   bytes, microseconds of Unix time. Its other clocks go on as they do. (libfaketime and jemalloc wait for each other when
   redis-server starts.) */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *moved;

__attribute__((constructor)) static void open_clock(void) {
    int file = open(getenv("MOVED_CLOCK"), O_RDONLY);
    if (file < 0) abort();
    void *at = mmap(NULL, sizeof *moved, PROT_READ, MAP_SHARED, file, 0);
    if (at == MAP_FAILED) abort();
    moved = at;
    close(file);
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone) {
    if (!moved) return syscall(SYS_gettimeofday, tv, zone);
    int64_t now = *moved;
    tv->tv_sec = now / 1000000;
    tv->tv_usec = now % 1000000;
    return 0;
}

time_t time(time_t *told) {
    struct timeval now;
    gettimeofday(&now, NULL);
    if (told) *told = now.tv_sec;
    return now.tv_sec;
}

int clock_gettime(clockid_t clock, struct timespec *ts) {
    if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) return syscall(SYS_clock_gettime, clock, ts);
    struct timeval now;
    gettimeofday(&now, NULL);
    ts->tv_sec = now.tv_sec;
    ts->tv_nsec = now.tv_usec * 1000;
    return 0;
}
