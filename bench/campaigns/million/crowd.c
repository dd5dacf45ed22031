/* crowd: idle WebSockets that cost next to nothing. One thread, epoll and nothing but libc.
 *
 * build: gcc -O2 -Wall -o crowd crowd.c
 * run:   crowd PORT PATH LISTENERS FIRST PER_ADDRESS AT_ONCE LONGEST STATE
 *
 * It opens LISTENERS WebSockets to 127.0.0.1:PORT. For the first time at most AT_ONCE connect at the same time. The path of a
 * listener is PATH and a number: FIRST for the first, FIRST + 1 for the next. PER_ADDRESS listeners share a source address,
 * which is 127.1.0.0 and the number of their group.
 *
 * From the moment at which all have joined, they do what browsers do: a listener that is lost, refused or has had no first
 * frame for five seconds comes again after a random time: at most one second, twice as long after each further failure, and at
 * most LONGEST; and not sooner than the server tells it. Nothing else bounds how many come at once. The program ends when its standard
 * input ends.
 *
 * A push must have a text with "T", six digits that grow by one from push to push, "." and twenty digits: the time of
 * CLOCK_MONOTONIC in nanoseconds at which it was sent.
 *
 * The figures are in the file STATE, from which other processes read them at any time: see `enum` below. Each listener has 32
 * bytes here. Bytes are kept only for a listener that has had half a frame. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

/* Figures, 64 bits each. JOINED: listeners that are joined now. JOINS: all that ever were. LOST: joined ones whose connection ended.
 * FAILED: connections that ended before the first frame. REFUSED: an error frame, or another status than 101. LATE: no first frame
 * within five seconds. BEATS: heartbeats. DELIVERED: pushes. WRONG: pushes that came twice or out of order. MISSED: numbers
 * that a joined listener has not had. LAST_DELIVERY, LAST_JOIN: times in nanoseconds. WAITING: listeners that are not connected
 * and will come again. TIMES: a histogram of the latencies in nanoseconds, with 32 classes for each power of two. */
enum { JOINED, JOINS, LOST, FAILED, REFUSED, LATE, BEATS, DELIVERED, WRONG, MISSED, LAST_DELIVERY, LAST_JOIN, WAITING, TIMES = 16, FIGURES = TIMES + 2048 };
static uint64_t *figures;

enum { AWAY, CONNECTING, HEAD, OPEN, READY };
enum { FIRST_DELAY = 1000, PATIENCE = 5000, SLOT = 16, SLOTS = 16384, NONE = -1 };
typedef struct {
  int fd, next, before; /* Neighbours in the slot of the wheel. `before` is -2 - SLOT for the first. */
  uint32_t pushed;      /* The number of the last push, 0 before the first. */
  char *half;           /* The beginning of a frame or of the head, NULL if there is none. */
  uint16_t size, timed;
  uint8_t state, failures;
} listener;

static listener *all;
static int count, first, per_address, at_once, filled, begun, port, longest, ep, wheel[SLOTS];
static const char *path;
static uint64_t turned; /* Slots of the wheel that are done. */
static uint64_t seed;
static char buffer[1 << 17];

static uint64_t now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec; }
static double chance(void) { seed ^= seed << 13; seed ^= seed >> 7; seed ^= seed << 17; return (seed >> 11) * 0x1p-53; }
static void die(const char *what) { perror(what); exit(2); }

static void unlist(listener *l) {
  if (!l->timed) return;
  if (l->before >= 0) all[l->before].next = l->next; else wheel[-2 - l->before] = l->next;
  if (l->next >= 0) all[l->next].before = l->before;
  l->timed = 0;
}
static void call_in(listener *l, double ms) {
  unlist(l);
  uint64_t due = now() / (SLOT * 1000000u) + 1 + (uint64_t)(ms / SLOT);
  if (due <= turned) due = turned + 1;
  if (due >= turned + SLOTS) due = turned + SLOTS - 1;
  int slot = due % SLOTS, me = l - all;
  l->next = wheel[slot]; l->before = -2 - slot; l->timed = 1;
  if (l->next >= 0) all[l->next].before = me;
  wheel[slot] = me;
}
static void forget_half(listener *l) { free(l->half); l->half = NULL; l->size = 0; }

/* Close the connection, and come again: after `at_least` seconds and a random time. */
static void leave(listener *l, int why, int at_least) {
  if (l->fd >= 0) close(l->fd);
  if (l->state == READY) { figures[JOINED]--; why = LOST; }
  figures[why]++; figures[WAITING]++;
  forget_half(l); l->fd = -1; l->state = AWAY;
  double most = FIRST_DELAY;
  for (int i = 0; i < l->failures && most < longest; i++) most *= 2;
  if (most > longest) most = longest;
  if (l->failures < 10) l->failures++;
  call_in(l, at_least * 1000.0 + chance() * most);
}

static void join(listener *l) {
  int one = 1, group = (first + (int)(l - all)) / per_address;
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f010000u + group)};
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f000001)};
  figures[WAITING]--;
  l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (l->fd < 0) { leave(l, FAILED, 0); return; }
  setsockopt(l->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  if (bind(l->fd, (void *)&from, sizeof from) || (connect(l->fd, (void *)&to, sizeof to) && errno != EINPROGRESS)) { leave(l, FAILED, 0); return; }
  struct epoll_event e = {.events = EPOLLOUT, .data.u32 = l - all};
  if (epoll_ctl(ep, EPOLL_CTL_ADD, l->fd, &e)) { leave(l, FAILED, 0); return; }
  l->state = CONNECTING; call_in(l, PATIENCE);
}

static void ask(listener *l) {
  char head[512];
  int number = first + (int)(l - all);
  int size = snprintf(head, sizeof head, "GET %s%09d HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %016dcrowdA==\r\n\r\n", path, number, number);
  struct epoll_event e = {.events = EPOLLIN, .data.u32 = l - all};
  if (epoll_ctl(ep, EPOLL_CTL_MOD, l->fd, &e) || send(l->fd, head, size, MSG_NOSIGNAL) != size) { leave(l, FAILED, 0); return; }
  l->state = HEAD;
}

static void note_push(listener *l, const char *text) {
  uint32_t number = strtoul(text, NULL, 10);
  uint64_t sent = strtoull(text + 7, NULL, 10), t = now(), took = t > sent ? t - sent : 0;
  if (number <= l->pushed) { figures[WRONG]++; return; }
  if (l->pushed) figures[MISSED] += number - l->pushed - 1;
  l->pushed = number;
  int power = took < 32 ? 4 : 63 - __builtin_clzll(took);
  int class = took < 32 ? (int)took : (power - 4) * 32 + (int)(took >> (power - 5) & 31);
  figures[TIMES + class]++; figures[DELIVERED]++; figures[LAST_DELIVERY] = t;
}

/* Returns 0 if the connection is over by this frame. */
static int note_frame(listener *l, int kind, char *text, int size) {
  char end = text[size];
  text[size] = 0;
  int open = 1;
  if (kind == 9 && size <= 125) { /* A ping: the pong has its bytes, and a mask of zeros. */
    char pong[131] = {(char)0x8a, (char)(0x80 | size)};
    memcpy(pong + 6, text, size);
    if (send(l->fd, pong, 6 + size, MSG_NOSIGNAL) < 0) { leave(l, FAILED, 0); open = 0; }
  } else if (kind == 8) { leave(l, REFUSED, 0); open = 0; }
  else if (kind == 1) {
    char *found;
    if (!strncmp(text, "{\"type\":\"heartbeat\"", 19)) figures[BEATS]++;
    else if (!strncmp(text, "{\"type\":\"push\"", 14)) { if ((found = strstr(text, "\"text\":\"T"))) note_push(l, found + 9); }
    else if (!strncmp(text, "{\"type\":\"ready\"", 15)) {
      if (l->state != READY) { l->state = READY; l->failures = 0; unlist(l); figures[JOINED]++; figures[JOINS]++; figures[LAST_JOIN] = now(); }
    } else if (!strncmp(text, "{\"type\":\"error\"", 15)) {
      found = strstr(text, "\"retry\":");
      leave(l, REFUSED, found ? atoi(found + 8) : 0); open = 0;
    }
  }
  if (open) text[size] = end;
  return open;
}

static void readable(listener *l) {
  if (l->size) memcpy(buffer, l->half, l->size);
  ssize_t got = recv(l->fd, buffer + l->size, sizeof buffer / 2, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) { leave(l, FAILED, 0); return; }
  char *at = buffer, *end = buffer + l->size + got;
  forget_half(l);
  *end = 0;
  if (l->state == HEAD) {
    char *body = strstr(buffer, "\r\n\r\n");
    if (body) {
      if (strncmp(buffer, "HTTP/1.1 101 ", 13)) { leave(l, REFUSED, 0); return; }
      l->state = OPEN; at = body + 4;
    }
  }
  while (l->state >= OPEN && end - at >= 2) {
    int size = at[1] & 127, skip = 2;
    if (size == 126) { if (end - at < 4) break; size = (uint8_t)at[2] << 8 | (uint8_t)at[3]; skip = 4; }
    else if (size == 127) { leave(l, FAILED, 0); return; } /* No frame here is so long. */
    if (end - at < skip + size) break;
    if (!note_frame(l, at[0] & 15, at + skip, size)) return;
    at += skip + size;
  }
  if (at < end) {
    if (end - at > 65535) { leave(l, FAILED, 0); return; }
    l->size = end - at; l->half = malloc(l->size);
    if (!l->half) die("malloc");
    memcpy(l->half, at, l->size);
  }
}

static void turn_wheel(void) {
  for (uint64_t until = now() / (SLOT * 1000000u); turned < until; turned++) {
    int slot = (turned + 1) % SLOTS;
    for (int i = wheel[slot], next; i >= 0; i = next) {
      listener *l = &all[i];
      next = l->next; l->timed = 0;
      if (next >= 0) all[next].before = -2 - slot;
      wheel[slot] = next;
      if (l->state == AWAY) join(l);
      else {
        if (l->state != CONNECTING) readable(l); /* This process can be later than the server. */
        if (l->state != AWAY && l->state != READY) leave(l, LATE, 0);
      }
      next = wheel[slot];
    }
  }
}

/* Let as many listeners begin as may connect at the same time. */
static void begin_some(void) {
  while (begun < count && begun - (int)(figures[JOINED] + figures[WAITING] - (count - begun)) < at_once) join(&all[begun++]);
  filled = figures[JOINED] == (uint64_t)count;
}

int main(int many, char **words) {
  if (many != 9) { fprintf(stderr, "crowd PORT PATH LISTENERS FIRST PER_ADDRESS AT_ONCE LONGEST STATE\n"); return 2; }
  port = atoi(words[1]); path = words[2]; count = atoi(words[3]); first = atoi(words[4]); per_address = atoi(words[5]);
  at_once = atoi(words[6]); longest = atof(words[7]) * 1000;
  signal(SIGPIPE, SIG_IGN);
  int file = open(words[8], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || ftruncate(file, FIGURES * 8)) die(words[8]);
  figures = mmap(NULL, FIGURES * 8, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (figures == MAP_FAILED) die("mmap");
  close(file);
  if ((ep = epoll_create1(0)) < 0) die("epoll_create1");
  struct epoll_event input = {.events = EPOLLIN, .data.u32 = UINT32_MAX}, events[256];
  if (epoll_ctl(ep, EPOLL_CTL_ADD, 0, &input)) die("standard input");
  if (!(all = calloc(count, sizeof *all))) die("calloc");
  seed = now() * 2654435761u + first + 1;
  turned = now() / (SLOT * 1000000u);
  for (int i = 0; i < SLOTS; i++) wheel[i] = NONE;
  for (int i = 0; i < count; i++) all[i].fd = -1;
  figures[WAITING] = count;
  for (;;) {
    /* Those who are joined need no timer, so that a crowd at rest sleeps. */
    int ready = epoll_wait(ep, events, 256, figures[JOINED] == (uint64_t)count ? 1000 : SLOT);
    for (int i = 0; i < ready; i++) {
      if (events[i].data.u32 == UINT32_MAX) { if (read(0, buffer, sizeof buffer) <= 0) return 0; continue; }
      listener *l = &all[events[i].data.u32];
      if (l->state == CONNECTING) { if (events[i].events & (EPOLLERR | EPOLLHUP)) leave(l, FAILED, 0); else ask(l); }
      else if (l->state != AWAY) readable(l);
    }
    turn_wheel();
    if (!filled) begin_some();
  }
}
