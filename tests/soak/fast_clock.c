/* Makes the clocks of a process run faster: preloaded by tests/soak/fast_clock.py.
 *
 * Every clock shows its true time plus (speed - 1) times what has passed since a moment that all
 * processes share, and everything that waits until a time, or for a while, waits so much shorter.
 * What measures the processor's work is left alone. libfaketime 0.9.10 does not do: it knows
 * neither pthread_cond_clockwait (std::condition_variable) nor sem_clockwait (Python's locks).
 * Left out is what no peer uses: std::future's waits for a time, which call the kernel themselves,
 * alarms, and locks of a mutex with a deadline.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define REAL(name) ((__typeof__(&name))real(&reals.name, #name))

static int64_t speed, base; /* the latter in nanoseconds of CLOCK_MONOTONIC */

static struct {
    void *clock_gettime, *clock_nanosleep, *ppoll, *pselect, *epoll_pwait2;
    void *pthread_cond_clockwait, *sem_clockwait, *timerfd_settime, *timerfd_gettime;
} reals;

static void *real(void **kept, const char *name)
{
    if (*kept == NULL && (*kept = dlsym(RTLD_NEXT, name)) == NULL)
        abort();
    return *kept;
}

static int64_t number(const char *name)
{
    const char *text = getenv(name);
    if (text == NULL)
        abort();
    return atoll(text);
}

static int64_t of(const struct timespec *t) { return t->tv_sec * SECOND + t->tv_nsec; }

static struct timespec as_timespec(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / SECOND, .tv_nsec = ns % SECOND};
}

/* The clocks */

static int64_t true_now(clockid_t clock)
{
    struct timespec t;
    REAL(clock_gettime)(clock, &t);
    return of(&t);
}

static int64_t lead(void)
{
    if (speed == 0) {
        base = number("SHOAL_CLOCK_BASE");
        speed = number("SHOAL_CLOCK_SPEED");
    }
    return (speed - 1) * (true_now(CLOCK_MONOTONIC) - base);
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    int failed = REAL(clock_gettime)(clock, t);
    int is_of_process = clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID;
    if (!failed && !is_of_process && clock != CLOCK_THREAD_CPUTIME_ID)
        *t = as_timespec(of(t) + lead());
    return failed;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    TIMESPEC_TO_TIMEVAL(t, &now);
    return 0;
}

time_t time(time_t *kept)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (kept != NULL)
        *kept = now.tv_sec;
    return now.tv_sec;
}

/* Waiting: for a while, and until a time */

static struct timespec shorter(const struct timespec *fast)
{
    lead(); /* reads the speed */
    return as_timespec((of(fast) + speed - 1) / speed);
}

static struct timespec true_deadline(clockid_t clock, const struct timespec *fast)
{
    int64_t now = true_now(clock), left = of(fast) - now - lead();
    return as_timespec(left <= 0 ? now : now + (left + speed - 1) / speed);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *asked, struct timespec *left)
{
    struct timespec t = flags & TIMER_ABSTIME ? true_deadline(clock, asked) : shorter(asked);
    int failed = REAL(clock_nanosleep)(clock, flags, &t, left);
    if (failed == EINTR && left != NULL && !(flags & TIMER_ABSTIME))
        *left = as_timespec(of(left) * speed);
    return failed;
}

int nanosleep(const struct timespec *asked, struct timespec *left)
{
    errno = clock_nanosleep(CLOCK_REALTIME, 0, asked, left);
    return errno ? -1 : 0;
}

int usleep(useconds_t asked)
{
    struct timespec t = as_timespec(asked * 1000LL);
    return nanosleep(&t, NULL);
}

unsigned sleep(unsigned asked)
{
    struct timespec t = {.tv_sec = asked}, left = {0};
    return nanosleep(&t, &left) ? left.tv_sec : 0;
}

int ppoll(struct pollfd *files, nfds_t count, const struct timespec *wait, const sigset_t *signals)
{
    struct timespec t = wait != NULL ? shorter(wait) : (struct timespec){0};
    return REAL(ppoll)(files, count, wait != NULL ? &t : NULL, signals);
}

int poll(struct pollfd *files, nfds_t count, int wait)
{
    struct timespec t = as_timespec(wait * 1000000LL);
    return ppoll(files, count, wait >= 0 ? &t : NULL, NULL);
}

int pselect(int count, fd_set *restrict read, fd_set *restrict write, fd_set *restrict other,
            const struct timespec *restrict wait, const sigset_t *restrict signals)
{
    struct timespec t = wait != NULL ? shorter(wait) : (struct timespec){0};
    return REAL(pselect)(count, read, write, other, wait != NULL ? &t : NULL, signals);
}

int select(int count, fd_set *restrict read, fd_set *restrict write, fd_set *restrict other,
           struct timeval *restrict wait)
{
    struct timespec t = {0};
    if (wait != NULL)
        TIMEVAL_TO_TIMESPEC(wait, &t);
    return pselect(count, read, write, other, wait != NULL ? &t : NULL, NULL);
}

int epoll_pwait(int file, struct epoll_event *events, int count, int wait, const sigset_t *signals)
{
    struct timespec fast = as_timespec(wait * 1000000LL), t = shorter(&fast);
    return REAL(epoll_pwait2)(file, events, count, wait >= 0 ? &t : NULL, signals);
}

int epoll_wait(int file, struct epoll_event *events, int count, int wait)
{
    return epoll_pwait(file, events, count, wait, NULL);
}

int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock,
                           const struct timespec *until)
{
    struct timespec t = true_deadline(clock, until);
    return REAL(pthread_cond_clockwait)(condition, mutex, clock, &t);
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
    /* The condition knows which clock is meant, and so does the size of the number. */
    clockid_t clock = until->tv_sec < 1000000000 ? CLOCK_MONOTONIC : CLOCK_REALTIME;
    return pthread_cond_clockwait(condition, mutex, clock, until);
}

int sem_clockwait(sem_t *restrict semaphore, clockid_t clock, const struct timespec *restrict until)
{
    struct timespec t = true_deadline(clock, until);
    return REAL(sem_clockwait)(semaphore, clock, &t);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until)
{
    return sem_clockwait(semaphore, CLOCK_REALTIME, until);
}

int timerfd_settime(int file, int flags, const struct itimerspec *asked, struct itimerspec *before)
{
    /* The only absolute time of Asio is "in the past, now". */
    struct itimerspec t = {shorter(&asked->it_interval), shorter(&asked->it_value)};
    if (flags & TFD_TIMER_ABSTIME)
        t.it_value = asked->it_value;
    return REAL(timerfd_settime)(file, flags, &t, before);
}
