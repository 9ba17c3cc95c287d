// A clock that is wrong by CLOCK_ERROR_SECS, for a program that is preloaded with it: only what says the time of day is moved,
// and waiting takes as long as it does. `cc -shared -fPIC -o clock.so clock.c`, then `LD_PRELOAD=clock.so`.
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *now) {
    const char *error = getenv("CLOCK_ERROR_SECS");
    int failed = (int)syscall(SYS_clock_gettime, id, now);
    if (!failed && error && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) now->tv_sec += atol(error);
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec precise;
    int failed = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *now) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (now) *now = precise.tv_sec;
    return precise.tv_sec;
}
