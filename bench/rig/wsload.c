/* wsload: a neutral load generator for push servers. It has one thread, epoll and nothing but libc.
 *
 * build:  gcc -O2 -Wall -o wsload wsload.c -lm
 *         gcc -O2 -Wall -DTLS -o wsload-tls wsload.c -lm -lssl -lcrypto      (with --tls)
 *
 * It opens N listeners (WebSocket, SSE, lines or HTTP long polling), waits until they are all
 * subscribed, publishes M messages of S bytes at R per second, counts every delivery on
 * every connection and prints ONE JSON line on stdout (progress/errors on stderr).
 *
 * LISTENERS
 *   --mode ws|sse|lines|longpoll     default ws (lines: an endless answer with one message a line)
 *   --tls                      listeners speak TLS (no certificate is checked; publishers use plain TCP)
 *   --host A                   default 127.0.0.1 (IPv4 only)
 *   --port P                   required
 *   --path /PATH               default /       (templates, see below)
 *   -n N                       listeners, default 1 (0 allowed: publish only)
 *   --header 'K: V'            extra request header (repeatable; a header holding a {Cn} that is
 *                              still empty is left out)
 *   --send TEXT                after the handshake send this text frame (repeatable, in order)
 *   --await SUBSTR             wait for a server frame containing SUBSTR before the next step.
 *                              A connection is "subscribed" when all --send/--await steps are done
 *                              (no steps: when the handshake is done).
 *   --bin                      frames that listeners and a ws publisher send are binary
 *   --reply 'IN=>OUT'          whenever a data frame starts with IN answer with frame OUT (repeatable)
 *                              for example '2=>3' (engine.io), 'PING\r\n=>PONG\r\n' (NATS), '{}=>{}' (centrifuge)
 *                              WebSocket pings are always answered.
 *   --capture h:NAME           capture a response header into {C1}, the next --capture into {C2} ... (4)
 *   --capture b:SUBSTR         capture body/frame text after the first SUBSTR up to one of  " , } ] space
 *   --capture B:SUBSTR         same, after the last occurrence
 *   --stream                   ws payloads are one byte stream (a message may straddle frames)
 *   --lp-method GET|POST       long polling: method of the repeated request (default GET)
 *   --lp-body TPL              long polling: body of the repeated request
 *                              in longpoll mode every --send is first POSTed as an init request
 *                              (response used for captures), then the repeated request starts.
 *   --lp-ctype T               content type of those bodies (default application/json)
 *   --concurrency C            handshakes in flight at once, default 128
 *   --settle MS                wait after the last one is subscribed, default 500
 *   --connect-timeout S        default 60
 *   --src-n K                  spread source addresses over 127.0.0.2..127.0.0.(K+1); default 1 per 20000
 *   --channels C               {ch} = listener index mod C; message k goes to channel k mod C. default 1
 *   --hold S                   stay idle S seconds after settling and report idle CPU (idle_cpu_pct)
 *
 * PUBLISHER
 *   --pub-port P --pub-path /X --pub-method POST --pub-header 'K: V' --pub-ctype T (text/plain)
 *   --pub-body TPL             default {P}
 *   --pub-enc raw|url          how {P} is put into the body (the payload is [0-9.a-zA-Z], both are the same
 *                              for it; url also switches the default content type to form-urlencoded)
 *   --pub-conns K              keep-alive publisher connections, default 1 (each one request in flight)
 *   --pub-ws                   publish over a WebSocket instead: --pub-path is its path, --pub-send TEXT /
 *                              --pub-await SUBSTR its script, --pub-body the frame template
 *   --pub-pusher KEY:SECRET    sign each POST for the Pusher HTTP API (auth_signature, body_md5 in the query)
 *   --pub-cometify KEY:SECRET:IDENTIFIER   sign each push: appends &secure=md5hex(KEY + md5hex(SECRET) + IDENTIFIER + payload)
 *                              to the form body, e.g. --pub-enc url --pub-body 'identifier=bench&secret=0&text={P}' (IDENTIFIER may hold {ch})
 *   -m M  -s S  -r R           messages, payload bytes (min 48), messages/s (0 = as fast as allowed)
 *   --window W                 never more than W messages (x listeners) undelivered: use with -r 0 to
 *                              measure saturation without unbounded queues. default 0 = no limit
 *   --pub-secs T               stop publishing after T seconds even if M is not reached (M still bounds it)
 *   --warmup W                 W messages published (and delivered) before the measured ones, default 0
 *   --drain MS                 after the last publish give up when nothing arrived for MS, default 2000
 *   --max-run S                hard limit for the publish phase, default 120
 *   --tell                     a line on stderr when the measured messages begin
 *                              SIGTERM ends the publishing early; what was measured until then is printed
 *   --sched-ts                 stamp payloads with the scheduled time (coordinated omission) not the send time
 *
 * SERVER
 *   --pid P[,P..]              server processes; their descendants are included
 *   --label X                  copied into the JSON
 *
 * TEMPLATES  {P} payload {L} payload length {S} sequence number {i} listener index {ch} channel number
 *   {C1}..{C4} captures.  \r \n \t \\ \xHH escapes are understood in --send/--await/--reply/--pub-body/...
 *
 * PAYLOAD  "<20 digits CLOCK_MONOTONIC ns>.<10 digits seq>.wL<8 hex run id>.xxxxx"  (padded to S)
 *
 * OUTPUT (one JSON line) - the main fields
 *   n, connect_per_s, published, pub_errors, delivered (unique), expected, lost, dup, ooo, closed
 *   wall_s (first publish .. last delivery), deliveries_per_s, publishes_per_s
 *   lat_us: publish (send call) to receive, per delivery;  pub_lat_us: POST to its response
 *   cpu_us_per_join       server CPU from the first connect until all are subscribed / n
 *   join_bytes            what the listeners had received by then
 *   cpu_us_per_delivery   server CPU (schedstat, ns exact) / delivered
 *   cpu_user_us / cpu_sys_us per delivery (from /proc/P/stat, 10 ms ticks)
 *   cpu_us_per_publish    same CPU / published
 *   server_cpu_pct, client_cpu_pct (100 = one core), machine_busy_pct (of all cores), steal_pct
 *   rss0_kb/pss0_kb before connecting, rss1_kb/pss1_kb when all subscribed, rss2_kb at the end,
 *   bytes_per_conn (PSS growth / N), kernel_bytes_per_conn (Slab + sockets, both ends of each connection)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#ifdef TLS
#include <openssl/ssl.h>
#endif

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif
typedef uint64_t u64; typedef uint32_t u32; typedef uint8_t u8;

enum { M_WS, M_SSE, M_LP };
enum { ST_CLOSED, ST_CONNECTING, ST_TLS, ST_HDR, ST_WS, ST_SSE, ST_LP, ST_PUB };
enum { R_SUB, R_PUB };
enum { STEP_SEND, STEP_AWAIT };
typedef struct { int kind; char *s; int n; } step;
typedef struct { char *a; int an; char *b; int bn; } rule;

typedef struct conn {
  int fd; u32 idx; u8 state, role, ready, chunked, wantout, busy, counted; short stepno;
  char *rb; u32 rlen;                 /* unparsed input */
  char *wb; u32 wlen, woff, wcap;     /* unsent output */
  char *sb; u32 slen, scap;           /* fragment / line / stream buffer */
  char *cap[4];
  int64_t maxseq; u64 t_req;
#ifdef TLS
  SSL *ssl;
#endif
} conn;

static const char *host = "127.0.0.1", *path = "/", *label = "";
static int port, mode = M_WS, any_line, N = 1, concurrency = 128, settle_ms = 500, conn_timeout = 60, srcn, channels = 1;
static double hold_s, pub_secs; static int bin, stream_mode;
static char *headers[32]; static int nheaders; static step steps[32], psteps[16]; static int nsteps, npsteps;
static rule replies[8]; static int nreplies; static char *caps[4]; static int ncaps;
static const char *lp_method = "GET", *lp_body, *lp_ctype = "application/json";
static int pub_port; static const char *pub_path = "/", *pub_method = "POST", *pub_ctype, *pub_body = "{P}";
static char *pub_headers[32]; static int npub_headers, pub_conns = 1, pub_ws, sched_ts, tls, tell;
static long M = 0, W = 0, window; static int S = 100; static double R = 10; static int drain_ms = 2000, max_run = 120;
static int pids[64], npids;

static int ep, tfd; static conn *subs, *pubs; static char runid[16];
static u64 *seen; static size_t seenw;
#define BUFSZ (8u << 20)
static char *buf, *scratch;
static int n_started, n_ready, n_inflight, n_closed, n_reconn, n_refused;
static long sent, delivered_all, delivered_run, dups, ooo, pub_err, pub_done, strange; static u64 exp_total, exp_run;
static u64 t_last_delivery, bytes_in; static u64 max_lag;
#define HN (64 * 128)
static u64 hist[HN], phist[HN]; static u64 hmax, phmax; static u64 hn, phn;
static int measuring;
static volatile sig_atomic_t told_to_stop;

static u64 now_ns(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return (u64)t.tv_sec * 1000000000ull + t.tv_nsec; }
static void die(const char *f, ...) { va_list a; va_start(a, f); fprintf(stderr, "wsload: "); vfprintf(stderr, f, a); fputc('\n', stderr); exit(2); }
static int hidx(u64 v) { if (v < 128) return v; int e = 63 - __builtin_clzll(v); return (e - 6) * 128 + ((v >> (e - 7)) & 127); }
static u64 hval(int i) { if (i < 128) return i; int e = i / 128 + 6; return (1ull << e) + ((u64)(i & 127) << (e - 7)) + (1ull << (e - 7)) / 2; }
static double pct(u64 *h, u64 n, double q) { if (!n) return 0; u64 need = (u64)(q * n); if (need >= n) need = n - 1; u64 c = 0; for (int i = 0; i < HN; i++) { c += h[i]; if (c > need) return hval(i) / 1000.0; } return 0; }

static char *unesc(const char *s, int *n) {
  char *o = malloc(strlen(s) + 1), *p = o;
  while (*s) {
    if (*s == '\\' && s[1] == 'r') { *p++ = '\r'; s += 2; }
    else if (*s == '\\' && s[1] == 'n') { *p++ = '\n'; s += 2; }
    else if (*s == '\\' && s[1] == 't') { *p++ = '\t'; s += 2; }
    else if (*s == '\\' && s[1] == '\\') { *p++ = '\\'; s += 2; }
    else if (*s == '\\' && s[1] == 'x' && isxdigit((u8)s[2]) && isxdigit((u8)s[3])) { char h[3] = {s[2], s[3], 0}; *p++ = (char)strtol(h, 0, 16); s += 4; }
    else *p++ = *s++;
  }
  *p = 0; *n = p - o; return o;
}

/* Expand a template. Sets *empty if a {Cn} was still empty. */
static int expand(const char *t, int tn, conn *c, const char *payload, int pn, long seq, char *out, int cap, int *empty) {
  int o = 0; int ch = c && c->role == R_SUB ? (int)(c->idx % channels) : (int)(seq >= 0 ? seq % channels : 0);
  for (int i = 0; i < tn;) {
    if (o + pn + 64 > cap) die("template too long");
    if (t[i] == '{') {
      if (i + 2 < tn && t[i + 2] == '}' && strchr("PLSi", t[i + 1])) {
        if (t[i + 1] == 'P') { if (payload) memcpy(out + o, payload, pn), o += pn; }
        else if (t[i + 1] == 'L') o += sprintf(out + o, "%d", pn);
        else if (t[i + 1] == 'S') o += sprintf(out + o, "%ld", seq);
        else o += sprintf(out + o, "%u", c ? c->idx : 0);
        i += 3; continue;
      }
      if (i + 3 < tn && t[i + 3] == '}') {
        if (t[i + 1] == 'c' && t[i + 2] == 'h') { o += sprintf(out + o, "%d", ch); i += 4; continue; }
        if (t[i + 1] == 'C' && t[i + 2] >= '1' && t[i + 2] <= '4') {
          char *v = c ? c->cap[t[i + 2] - '1'] : 0;
          if (v) { int l = strlen(v); if (o + l + 64 > cap) die("capture too long"); memcpy(out + o, v, l); o += l; } else if (empty) *empty = 1;
          i += 4; continue;
        }
      }
    }
    out[o++] = t[i++];
  }
  out[o] = 0; return o;
}

static void ep_mod(conn *c, int out) {
  if (c->wantout == out) return;
  struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c};
  epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e); c->wantout = out;
}

/* ---- the socket, plain or TLS, like send() and recv() ---- */
#ifdef TLS
static ssize_t put_bytes(conn *c, const char *p, size_t n) {
  if (!c->ssl) return send(c->fd, p, n, MSG_NOSIGNAL);
  return SSL_write(c->ssl, p, n); /* An error shows up at the next read. */
}
static ssize_t get_bytes(conn *c, char *p, size_t n) {
  if (!c->ssl) return recv(c->fd, p, n, 0);
  size_t got = 0; int k = 1; /* SSL_read returns one record at a time; read until the socket is empty. */
  while (got < n && (k = SSL_read(c->ssl, p + got, n - got)) > 0) got += k;
  if (got) return got;
  if (SSL_get_error(c->ssl, k) != SSL_ERROR_WANT_READ) return 0;
  errno = EAGAIN; return -1;
}
static void tls_new(conn *c) {
  static SSL_CTX *context;
  if (!context) {
    context = SSL_CTX_new(TLS_client_method());
    if (!context) die("no TLS");
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  }
  c->ssl = SSL_new(context); SSL_set_fd(c->ssl, c->fd); SSL_set_connect_state(c->ssl);
}
/* Returns 1 when done, -1 on failure, 0 to go on when the socket is readable (if *out: writable) again. */
static int tls_shake(conn *c, int *out) {
  int k = SSL_do_handshake(c->ssl), why = k == 1 ? 0 : SSL_get_error(c->ssl, k);
  *out = why == SSL_ERROR_WANT_WRITE;
  return k == 1 ? 1 : *out || why == SSL_ERROR_WANT_READ ? 0 : -1;
}
static void tls_free(conn *c) { SSL_free(c->ssl); c->ssl = 0; }
#else
static ssize_t put_bytes(conn *c, const char *p, size_t n) { return send(c->fd, p, n, MSG_NOSIGNAL); }
static ssize_t get_bytes(conn *c, char *p, size_t n) { return recv(c->fd, p, n, 0); }
static void tls_new(conn *c) { die("--tls: built without TLS"); }
static int tls_shake(conn *c, int *out) { return -1; }
static void tls_free(conn *c) {}
#endif

static void wr(conn *c, const char *p, u32 n) {
  if (c->wlen == c->woff) {
    c->wlen = c->woff = 0;
    ssize_t k = put_bytes(c, p, n);
    if (k < 0) k = 0; /* An error shows up at the next read. */
    p += k; n -= k;
  }
  if (n) {
    if (c->wlen + n > c->wcap) { c->wcap = (c->wlen + n) * 2; c->wb = realloc(c->wb, c->wcap); }
    memcpy(c->wb + c->wlen, p, n); c->wlen += n;
  }
  if (c->state != ST_CONNECTING) ep_mod(c, c->wlen > c->woff);
}
static void flushw(conn *c) {
  while (c->woff < c->wlen) {
    ssize_t k = put_bytes(c, c->wb + c->woff, c->wlen - c->woff);
    if (k <= 0) break;
    c->woff += k;
  }
  if (c->woff == c->wlen) { c->woff = c->wlen = c->wcap = 0; free(c->wb); c->wb = 0; }
  ep_mod(c, c->wlen > c->woff);
}
static u32 rng = 0x12345678;
static u32 rnd(void) { rng ^= rng << 13; rng ^= rng >> 17; rng ^= rng << 5; return rng; }
static void ws_send(conn *c, int op, const char *p, u32 n) {
  char *f = malloc(n + 16); int h = 2; f[0] = 0x80 | op;
  if (n < 126) f[1] = 0x80 | n;
  else if (n < 65536) { f[1] = (char)(0x80 | 126); f[2] = n >> 8; f[3] = n; h = 4; }
  else { f[1] = (char)(0x80 | 127); memset(f + 2, 0, 4); f[6] = n >> 24; f[7] = n >> 16; f[8] = n >> 8; f[9] = n; h = 10; }
  u32 k = rnd(); memcpy(f + h, &k, 4); h += 4;
  for (u32 i = 0; i < n; i++) f[h + i] = p[i] ^ ((char *)&k)[i & 3];
  wr(c, f, h + n); free(f);
}
static void sbadd(conn *c, const char *p, u32 n) {
  if (c->slen + n > c->scap) { c->scap = c->slen + n + (c->slen + n) / 4 + 64; c->sb = realloc(c->sb, c->scap); }
  memcpy(c->sb + c->slen, p, n); c->slen += n;
}

static void start_req(conn *c);
static void do_connect(conn *c) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket: %s", strerror(errno));
  int one = 1; setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (c->role == R_SUB && srcn > 0 && !strncmp(host, "127.", 4)) {
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    struct sockaddr_in b = {.sin_family = AF_INET}; b.sin_addr.s_addr = htonl(0x7f000002 + c->idx % srcn);
    if (bind(fd, (void *)&b, sizeof b)) die("bind: %s", strerror(errno));
  }
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(c->role == R_PUB ? pub_port : port)};
  inet_pton(AF_INET, host, &a.sin_addr);
  c->fd = fd; c->state = ST_CONNECTING; c->rlen = 0; c->slen = 0; c->wlen = c->woff = 0; c->chunked = 0;
  if (connect(fd, (void *)&a, sizeof a) && errno != EINPROGRESS) die("connect: %s", strerror(errno));
  struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c}; c->wantout = 1;
  epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}
static int hdrs(conn *c, char *o, int cap, char **hs, int nh) {
  int n = 0;
  for (int i = 0; i < nh; i++) { int empty = 0; int k = expand(hs[i], strlen(hs[i]), c, 0, 0, -1, o + n, cap - n - 4, &empty); if (!empty) { n += k; o[n++] = '\r'; o[n++] = '\n'; } }
  return n;
}
static int http_req(conn *c, char *o, int cap, const char *meth, const char *p, char **hs, int nh, const char *body, int bn, const char *ctype, long seq) {
  int n = sprintf(o, "%s ", meth); n += expand(p, strlen(p), c, 0, 0, seq, o + n, cap - n, 0);
  n += sprintf(o + n, " HTTP/1.1\r\nHost: %s:%d\r\n", host, c->role == R_PUB ? pub_port : port);
  n += hdrs(c, o + n, cap - n, hs, nh);
  if (body) n += sprintf(o + n, "Content-Type: %s\r\nContent-Length: %d\r\n\r\n", ctype, bn); else n += sprintf(o + n, "\r\n");
  if (body) { if (n + bn > cap) die("body too long"); memcpy(o + n, body, bn); n += bn; }
  return n;
}
static char reqb[1 << 20], bodyb[1 << 20];
static void ws_upgrade(conn *c) {
  int pub = c->role == R_PUB; const char *p = pub ? pub_path : path;
  int n = sprintf(reqb, "GET "); n += expand(p, strlen(p), c, 0, 0, -1, reqb + n, 60000, 0);
  n += sprintf(reqb + n, " HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n", host, pub ? pub_port : port);
  n += hdrs(c, reqb + n, 60000, pub ? pub_headers : headers, pub ? npub_headers : nheaders);
  n += sprintf(reqb + n, "\r\n"); c->state = ST_HDR; wr(c, reqb, n);
}
static void set_ready(conn *c) { if (c->ready) return; c->ready = 1; if (c->role == R_SUB && !c->counted) { c->counted = 1; n_ready++; n_inflight--; } }
static void run_steps(conn *c) { /* ws: send until the next await */
  step *s = c->role == R_PUB ? psteps : steps; int n = c->role == R_PUB ? npsteps : nsteps;
  while (c->stepno < n && s[c->stepno].kind == STEP_SEND) {
    int k = expand(s[c->stepno].s, s[c->stepno].n, c, 0, 0, -1, bodyb, sizeof bodyb, 0);
    c->stepno++; ws_send(c, bin ? 2 : 1, bodyb, k);
  }
  if (c->stepno >= n) set_ready(c);
}
static void lp_next(conn *c) { /* longpoll: init POSTs, then the repeated request */
  while (c->stepno < nsteps && steps[c->stepno].kind != STEP_SEND) c->stepno++;
  int n;
  if (c->stepno < nsteps) {
    int k = expand(steps[c->stepno].s, steps[c->stepno].n, c, 0, 0, -1, bodyb, sizeof bodyb, 0); c->stepno++;
    n = http_req(c, reqb, sizeof reqb, "POST", path, headers, nheaders, bodyb, k, lp_ctype, -1);
  } else {
    int k = 0, bn = 0; char *b = 0; if (lp_body) { b = unesc(lp_body, &bn); k = expand(b, bn, c, 0, 0, -1, bodyb, sizeof bodyb, 0); free(b); }
    n = http_req(c, reqb, sizeof reqb, lp_method, path, headers, nheaders, lp_body ? bodyb : 0, k, lp_ctype, -1);
    set_ready(c);
  }
  c->state = ST_LP; wr(c, reqb, n);
}
static void start_req(conn *c) {
  if (c->role == R_PUB) { if (pub_ws) ws_upgrade(c); else { c->state = ST_PUB; c->ready = 1; c->busy = 0; } return; }
  if (mode == M_WS) ws_upgrade(c);
  else if (mode == M_SSE) { int n = http_req(c, reqb, sizeof reqb, "GET", path, headers, nheaders, 0, 0, 0, -1); c->state = ST_HDR; wr(c, reqb, n); }
  else lp_next(c);
}
static void drop(conn *c) { tls_free(c); close(c->fd); c->fd = -1; c->state = ST_CLOSED; c->rlen = 0; free(c->rb); c->rb = 0; c->wlen = c->woff = 0; c->wantout = 0; }

static void shake(conn *c) { /* TLS: continue the handshake, then send the request */
  int out, k = tls_shake(c, &out);
  if (k < 0) die("a TLS handshake failed");
  ep_mod(c, out); if (k) start_req(c);
}
static void begin(conn *c) { /* the connection is open */
  if (tls && c->role == R_SUB) { tls_new(c); c->state = ST_TLS; shake(c); } else start_req(c);
}

/* ---- deliveries ---- */
static char mark[32];
static void deliver(conn *c, const char *m) { /* m points at ".wL<runid>." */
  const char *p = m - 31; u64 ts = 0; u32 seq = 0;
  for (int i = 0; i < 20; i++) ts = ts * 10 + (p[i] - '0');
  for (int i = 21; i < 31; i++) seq = seq * 10 + (p[i] - '0');
  if (seq >= (u32)sent) { strange++; return; }
  u64 t = now_ns(); t_last_delivery = t;
  u64 *w = seen + (size_t)c->idx * seenw + seq / 64, b = 1ull << (seq % 64);
  if (*w & b) { dups++; return; }
  *w |= b; if ((int64_t)seq < c->maxseq) ooo++; else c->maxseq = seq;
  delivered_all++;
  if (seq >= W) { delivered_run++; u64 d = t > ts ? t - ts : 0; hist[hidx(d)]++; hn++; if (d > hmax) hmax = d; }
}
static int scan(conn *c, const char *p, u32 n) {
  const char *q = p, *e = p + n; int k = 0;
  if (c->role == R_PUB) return 0;
  while ((q = memmem(q, e - q, mark, 13))) { if (q - p >= 31) { deliver(c, q); k++; } q += 13; }
  return k;
}
static void capture(conn *c, const char *hdr, int hn_, const char *body, int bn) {
  for (int i = 0; i < ncaps; i++) {
    const char *r = caps[i]; const char *v = 0, *e = 0;
    if (r[0] == 'h') {
      if (!hdr) continue;
      int l = strlen(r + 2);
      for (const char *q = hdr; q && q < hdr + hn_;) { const char *nl = memchr(q, '\n', hdr + hn_ - q); if (!strncasecmp(q, r + 2, l) && q[l] == ':') { v = q + l + 1; while (*v == ' ') v++; e = v; while (*e != '\r' && *e != '\n') e++; } q = nl ? nl + 1 : 0; }
    } else if (body) {
      int l = strlen(r + 2); const char *q = body;
      while ((q = memmem(q, body + bn - q, r + 2, l))) { v = q + l; if (r[0] == 'b') break; q += l; }
      if (v) { while (v < body + bn && (*v == '"' || *v == ' ')) v++; e = v; while (e < body + bn && !strchr("\",}] \r\n", *e)) e++; }
    }
    if (v) { free(c->cap[i]); c->cap[i] = strndup(v, e - v); }
  }
}
static void data_frame(conn *c, const char *p, u32 n) {
  if (stream_mode) { sbadd(c, p, n); }
  step *s = c->role == R_PUB ? psteps : steps; int ns = c->role == R_PUB ? npsteps : nsteps;
  if (c->stepno < ns && s[c->stepno].kind == STEP_AWAIT && memmem(p, n, s[c->stepno].s, s[c->stepno].n)) {
    capture(c, 0, 0, p, n); c->stepno++; run_steps(c);
  }
  for (int i = 0; i < nreplies; i++)
    if (n >= (u32)replies[i].an && !memcmp(p, replies[i].a, replies[i].an)) { int k = expand(replies[i].b, replies[i].bn, c, 0, 0, -1, bodyb, sizeof bodyb, 0); ws_send(c, bin ? 2 : 1, bodyb, k); }
  if (stream_mode) { scan(c, c->sb, c->slen); u32 keep = c->slen < 43 ? c->slen : 43; memmove(c->sb, c->sb + c->slen - keep, keep); c->slen = keep;
    /* a marker wholly inside the kept tail was already counted: blank its tag */
    char *q = memmem(c->sb, c->slen, mark, 13); if (q) *q = '#';
  } else scan(c, p, n);
}
/* Returns the bytes consumed. */
static u32 ws_frames(conn *c, char *p, u32 n) {
  u32 o = 0;
  while (n - o >= 2) {
    u8 *f = (u8 *)p + o; u64 len = f[1] & 127; u32 h = 2; int fin = f[0] & 128, op = f[0] & 15;
    if (len == 126) { if (n - o < 4) break; len = f[2] << 8 | f[3]; h = 4; }
    else if (len == 127) { if (n - o < 10) break; len = 0; for (int i = 2; i < 10; i++) len = len << 8 | f[i]; h = 10; }
    if (f[1] & 128) h += 4; /* A masked frame of a server is illegal and is tolerated. */
    if (len + h > BUFSZ) die("frame too long");
    if (n - o < h + len) break;
    char *d = p + o + h; o += h + len;
    if (op == 9) ws_send(c, 10, d, len);
    else if (op == 8) { ws_send(c, 8, d, len > 2 ? 2 : len); }
    else if (op == 10) {}
    else if ((!fin || op == 0) && !stream_mode) { sbadd(c, d, len); if (fin) { u32 k = c->slen; c->slen = 0; char *t = c->sb; c->sb = 0; c->scap = 0; data_frame(c, t, k); free(t); } }
    else data_frame(c, d, len);
  }
  return o;
}
static char *hdr_find(char *h, int n, const char *name) {
  int l = strlen(name);
  for (char *q = h; q < h + n;) { char *nl = memchr(q, '\n', h + n - q); if (!nl) break; if (!strncasecmp(q, name, l) && q[l] == ':') { q += l + 1; while (*q == ' ') q++; return q; } q = nl + 1; }
  return 0;
}
/* whole HTTP response in p? returns bytes consumed or 0; -1 for malformed. body decoded into scratch when chunked */
static long http_resp(char *p, u32 n, int eof, int *status, int *hl, char **body, int *bl, int *closing) {
  char *e = memmem(p, n, "\r\n\r\n", 4); if (!e) return 0;
  int h = e - p + 4; *hl = h; *status = n > 12 ? atoi(p + 9) : 0;
  if (*status >= 100 && *status < 200 && *status != 101) { long k = http_resp(p + h, n - h, eof, status, hl, body, bl, closing); return k > 0 ? k + h : k; }
  char *cn = hdr_find(p, h, "connection"); *closing = (cn && !strncasecmp(cn, "close", 5)) || (!strncmp(p, "HTTP/1.0", 8) && !(cn && !strncasecmp(cn, "keep-alive", 10)));
  char *te = hdr_find(p, h, "transfer-encoding"), *cl = hdr_find(p, h, "content-length");
  *body = p + h; *bl = 0;
  if (te && !strncasecmp(te, "chunked", 7)) {
    u32 o = h; int w = 0;
    for (;;) {
      char *nl = memmem(p + o, n - o, "\r\n", 2); if (!nl) return 0;
      u64 k = strtoull(p + o, 0, 16); u32 d = nl - p + 2;
      if (k == 0) { /* trailers */ for (;;) { char *t = memmem(p + d, n - d, "\r\n", 2); if (!t) return 0; if (t == p + d) { *body = scratch; *bl = w; return d + 2; } d = t - p + 2; } }
      if (n < d + k + 2) return 0;
      memcpy(scratch + w, p + d, k); w += k; o = d + k + 2;
    }
  }
  if (cl) { u64 k = strtoull(cl, 0, 10); if (n < h + k) return 0; *bl = k; return h + k; }
  if (*status == 204 || *status == 304) return h;
  *closing = 1; if (!eof) return 0; *bl = n - h; return n;
}
static void sse_bytes(conn *c, char *p, u32 n) {
  if (c->stepno < nsteps && steps[c->stepno].kind == STEP_AWAIT && memmem(p, n, steps[c->stepno].s, steps[c->stepno].n)) { c->stepno++; if (c->stepno >= nsteps) set_ready(c); }
  sbadd(c, p, n); u32 o = 0;
  for (;;) { char *nl = memchr(c->sb + o, '\n', c->slen - o); if (!nl) break; u32 l = nl - c->sb - o; if (any_line || (l >= 5 && !memcmp(c->sb + o, "data:", 5))) scan(c, c->sb + o, l); o += l + 1; }
  memmove(c->sb, c->sb + o, c->slen - o); c->slen -= o;
}
static void try_publish(void);
static void on_pub_response(conn *c, int status) {
  u64 d = now_ns() - c->t_req; c->busy = 0; pub_done++;
  if (status < 200 || status > 299) { pub_err++; if (pub_err < 4) fprintf(stderr, "wsload: publish answered %d\n", status); }
  if (measuring) { phist[hidx(d)]++; phn++; if (d > phmax) phmax = d; }
}
static void on_read(conn *c) {
  if (c->state == ST_TLS) { shake(c); return; }
  u32 have = c->rlen; if (have) memcpy(buf, c->rb, have);
  u32 room = BUFSZ - have; if (room > 262144) room = 262144;
  ssize_t k = get_bytes(c, buf + have, room); int eof = 0;
  if (k < 0) { if (errno == EAGAIN || errno == EINTR) return; eof = 1; k = 0; if (c->state == ST_CONNECTING) { n_refused++; if (n_refused > 20) die("connect refused"); } }
  else if (k == 0) eof = 1;
  bytes_in += k; u32 n = have + k, o = 0;
  if (c->state == ST_CONNECTING && !eof) { start_req(c); }
again:
  switch (c->state) {
  case ST_HDR: {
    char *e = memmem(buf + o, n - o, "\r\n\r\n", 4); if (!e) break;
    int h = e - (buf + o) + 4, status = n - o > 12 ? atoi(buf + o + 9) : 0;
    int want = (c->role == R_PUB || mode == M_WS) ? 101 : 200;
    if (status != want) { static int shown; if (shown++ < 3) fprintf(stderr, "wsload: handshake answered %.*s\n", h > 300 ? 300 : h, buf + o); if (shown > 50) die("too many failed handshakes"); eof = 1; break; }
    char *te = hdr_find(buf + o, h, "transfer-encoding"); c->chunked = te && !strncasecmp(te, "chunked", 7);
    capture(c, buf + o, h, 0, 0); o += h;
    if (want == 101) { c->state = ST_WS; run_steps(c); } else { c->state = ST_SSE; if (!nsteps) set_ready(c); }
    goto again;
  }
  case ST_WS: o += ws_frames(c, buf + o, n - o); break;
  case ST_SSE:
    if (!c->chunked) { sse_bytes(c, buf + o, n - o); o = n; }
    else for (;;) {
      char *nl = memmem(buf + o, n - o, "\r\n", 2); if (!nl) break;
      u64 l = strtoull(buf + o, 0, 16); u32 d = nl - buf + 2; if (n < d + l + 2) break;
      if (l == 0) { eof = 1; o = d + 2 <= n ? d + 2 : n; break; }
      sse_bytes(c, buf + d, l); o = d + l + 2;
    }
    break;
  case ST_LP: case ST_PUB: {
    int st = 0, hl = 0, bl = 0, cl = 0; char *b = 0; if (n == o) break;
    long r = http_resp(buf + o, n - o, eof, &st, &hl, &b, &bl, &cl); if (r <= 0) break;
    if (c->state == ST_PUB) { on_pub_response(c, st); o += r; if (cl) eof = 1; else if (n > o) goto again; break; }
    if (st < 200 || (st > 299 && st != 304 && st != 408)) { static int shown; if (shown++ < 3) fprintf(stderr, "wsload: long poll answered %d\n%.*s\n", st, hl, buf + o); if (shown > 200) die("too many long poll errors"); }
    scan(c, b, bl); capture(c, buf + o, hl, b, bl); o += r;
    if (cl) { eof = 1; break; }
    lp_next(c); break;
  }
  }
  if (eof) {
    int st = c->state; int was_busy = c->busy; drop(c);
    if (st == ST_CONNECTING) { do_connect(c); return; }
    if (st == ST_LP) { n_reconn++; do_connect(c); return; }
    if (st == ST_PUB) { if (was_busy) { pub_err++; c->busy = 0; } n_reconn++; do_connect(c); return; }
    n_closed++; if (c->role == R_SUB && !c->ready) { if (n_closed > 50 + N / 10) die("listeners are being closed before they are subscribed"); do_connect(c); }
    else if (c->role == R_PUB) die("publisher connection closed");
    return;
  }
  if (o < n) { u32 rest = n - o; c->rb = realloc(c->rb, rest); memcpy(c->rb, buf + o, rest); c->rlen = rest; }
  else { c->rlen = 0; if (c->rb) { free(c->rb); c->rb = 0; } }
}

/* ---- /proc ---- */
typedef struct { u64 sched_ns, ut, st, rss, pss; int np; } usage;
static int ppid_of(int pid, u64 *ut, u64 *st) {
  char f[64], b[1024]; sprintf(f, "/proc/%d/stat", pid); FILE *h = fopen(f, "r"); if (!h) return -1;
  int n = fread(b, 1, 1023, h); fclose(h); b[n] = 0; char *p = strrchr(b, ')'); if (!p) return -1;
  int pp; unsigned long u, s; char stc; if (sscanf(p + 2, "%c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &stc, &pp, &u, &s) != 4) return -1;
  if (ut) { *ut = u; *st = s; } return pp;
}
static usage get_usage(int mem) {
  usage r = {0}; static int all[65536], par[65536]; int na = 0; DIR *d = opendir("/proc"); struct dirent *e;
  if (!npids) { closedir(d); return r; }
  while ((e = readdir(d))) { int p = atoi(e->d_name); if (p > 0) { int q = ppid_of(p, 0, 0); if (q >= 0 && na < 65536) all[na] = p, par[na++] = q; } }
  closedir(d);
  int set[4096], ns = 0; for (int i = 0; i < npids; i++) set[ns++] = pids[i];
  for (int i = 0; i < ns; i++) for (int j = 0; j < na; j++) if (par[j] == set[i]) { int dup = 0; for (int k = 0; k < ns; k++) if (set[k] == all[j]) dup = 1; if (!dup && ns < 4096) set[ns++] = all[j]; }
  for (int i = 0; i < ns; i++) {
    u64 u = 0, s = 0; if (ppid_of(set[i], &u, &s) < 0) continue; r.np++; r.ut += u; r.st += s;
    char f[300]; sprintf(f, "/proc/%d/task", set[i]); DIR *t = opendir(f);
    if (t) { while ((e = readdir(t))) if (e->d_name[0] != '.') { snprintf(f, sizeof f, "/proc/%d/task/%s/schedstat", set[i], e->d_name); FILE *h = fopen(f, "r"); unsigned long long v; if (h) { if (fscanf(h, "%llu", &v) == 1) r.sched_ns += v; fclose(h); } } closedir(t); }
    if (mem) { sprintf(f, "/proc/%d/smaps_rollup", set[i]); FILE *h = fopen(f, "r"); char l[256]; unsigned long v; if (h) { while (fgets(l, 256, h)) { if (sscanf(l, "Rss: %lu", &v) == 1) r.rss += v; else if (sscanf(l, "Pss: %lu", &v) == 1) r.pss += v; } fclose(h); } }
  }
  return r;
}
typedef struct { u64 busy, total, steal; } sysuse;
static sysuse get_sys(void) { FILE *h = fopen("/proc/stat", "r"); unsigned long long v[8] = {0}; if (fscanf(h, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7) < 8) {} fclose(h); sysuse s; s.total = 0; for (int i = 0; i < 8; i++) s.total += v[i]; s.busy = s.total - v[3] - v[4]; s.steal = v[7]; return s; }
static u64 kernel_kb(void) { FILE *h = fopen("/proc/meminfo", "r"); char l[256]; unsigned long v, t = 0; while (fgets(l, 256, h)) if (sscanf(l, "Slab: %lu", &v) == 1) t += v; fclose(h); h = fopen("/proc/net/sockstat", "r"); if (h) { while (fgets(l, 256, h)) { char *m = strstr(l, " mem "); if (!strncmp(l, "TCP:", 4) && m) t += 4 * atol(m + 5); } fclose(h); } return t; }
static u64 self_ns(void) { struct rusage r; getrusage(RUSAGE_SELF, &r); return (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000000ull + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1000ull; }

/* ---- Pusher signatures: md5, sha256, hmac ---- */
static u32 rol(u32 x, int n) { return x << n | x >> (32 - n); }
static u32 ror(u32 x, int n) { return x >> n | x << (32 - n); }
static void hex(const u8 *d, int n, char *o) { for (int i = 0; i < n; i++) sprintf(o + 2 * i, "%02x", d[i]); }
static u8 *padmsg(const u8 *m, size_t n, size_t *t, int be) { *t = (n + 9 + 63) / 64 * 64; u8 *b = calloc(*t, 1); memcpy(b, m, n); b[n] = 0x80; u64 bits = (u64)n * 8; for (int i = 0; i < 8; i++) b[*t - 8 + i] = be ? bits >> (56 - 8 * i) : bits >> (8 * i); return b; }
static void md5(const u8 *m, size_t n, u8 *out) {
  static u32 K[64]; static const int r[16] = {7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21};
  if (!K[0]) for (int i = 0; i < 64; i++) { double s = 0, x = i + 1; /* |sin(i+1)| * 2^32 */ s = __builtin_sin(x); if (s < 0) s = -s; K[i] = (u32)(s * 4294967296.0); }
  u32 h[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}; size_t t; u8 *b = padmsg(m, n, &t, 0);
  for (size_t o = 0; o < t; o += 64) { u32 w[16]; memcpy(w, b + o, 64); u32 A = h[0], B = h[1], C = h[2], D = h[3];
    for (int i = 0; i < 64; i++) { u32 f; int g; if (i < 16) f = (B & C) | (~B & D), g = i; else if (i < 32) f = (D & B) | (~D & C), g = (5 * i + 1) & 15; else if (i < 48) f = B ^ C ^ D, g = (3 * i + 5) & 15; else f = C ^ (B | ~D), g = (7 * i) & 15;
      f += A + K[i] + w[g]; A = D; D = C; C = B; B += rol(f, r[i / 16 * 4 + (i & 3)]); }
    h[0] += A; h[1] += B; h[2] += C; h[3] += D; }
  memcpy(out, h, 16); free(b);
}
static void sha256(const u8 *m, size_t n, u8 *out) {
  static u32 k[64], h0[8]; if (!k[0]) { int c = 0; for (u32 p = 2; c < 64; p++) { int pr = 1; for (u32 q = 2; q * q <= p; q++) if (p % q == 0) pr = 0; if (!pr) continue; long double x = __builtin_cbrtl(p), y = __builtin_sqrtl(p); k[c] = (u32)((x - (u32)x) * 4294967296.0L); if (c < 8) h0[c] = (u32)((y - (u32)y) * 4294967296.0L); c++; } }
  u32 h[8]; memcpy(h, h0, 32); size_t t; u8 *b = padmsg(m, n, &t, 1);
  for (size_t o = 0; o < t; o += 64) { u32 w[64], v[8]; for (int i = 0; i < 16; i++) w[i] = (u32)b[o + 4 * i] << 24 | b[o + 4 * i + 1] << 16 | b[o + 4 * i + 2] << 8 | b[o + 4 * i + 3];
    for (int i = 16; i < 64; i++) w[i] = w[i - 16] + (ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] + (ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10);
    memcpy(v, h, 32);
    for (int i = 0; i < 64; i++) { u32 a = v[7] + (ror(v[4], 6) ^ ror(v[4], 11) ^ ror(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i], c = (ror(v[0], 2) ^ ror(v[0], 13) ^ ror(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2])); for (int j = 7; j > 0; j--) v[j] = v[j - 1]; v[4] += a; v[0] = a + c; }
    for (int i = 0; i < 8; i++) h[i] += v[i]; }
  for (int i = 0; i < 32; i++) out[i] = h[i / 4] >> (24 - 8 * (i & 3));
  free(b);
}
static void hmac(const char *key, const char *msg, char *hexout) {
  int kn = strlen(key), n = strlen(msg); u8 *b = malloc(n + 64), o[96], d[32];
  for (int i = 0; i < 64; i++) { u8 c = i < kn ? key[i] : 0; b[i] = c ^ 0x36; o[i] = c ^ 0x5c; }
  memcpy(b + 64, msg, n); sha256(b, n + 64, d); memcpy(o + 64, d, 32); sha256(o, 96, d); hex(d, 32, hexout); free(b);
}
static char *pub_pusher;
static const char *pusher_path(const char *body, int bn) {
  static char p[1024], q[600], m[700], sig[65], mh[33]; u8 d[16]; md5((u8 *)body, bn, d); hex(d, 16, mh);
  char *col = strchr(pub_pusher, ':'); sprintf(q, "auth_key=%.*s&auth_timestamp=%ld&auth_version=1.0&body_md5=%s", (int)(col - pub_pusher), pub_pusher, (long)time(0), mh);
  snprintf(m, sizeof m, "POST\n%s\n%s", pub_path, q); hmac(col + 1, m, sig); snprintf(p, sizeof p, "%s?%s&auth_signature=%s", pub_path, q, sig); return p;
}

static char *pub_cometify;
static int cometify_sign(char *body, int bn, const char *pay, long seq) {
  static char *prefix[2]; static char buf[1 << 17]; u8 d[16]; char h[33];
  if (!prefix[0]) { char *a = strchr(pub_cometify, ':'), *b = strrchr(pub_cometify, ':'); size_t kn = a - pub_cometify;
    md5((u8 *)a + 1, b - a - 1, d); hex(d, 16, h); prefix[0] = malloc(kn + 40); sprintf(prefix[0], "%.*s%s", (int)kn, pub_cometify, h); prefix[1] = b + 1; }
  char id[128]; const char *ch = strstr(prefix[1], "{ch}");
  if (ch) snprintf(id, sizeof id, "%.*s%ld%s", (int)(ch - prefix[1]), prefix[1], seq % channels, ch + 4); else snprintf(id, sizeof id, "%s", prefix[1]);
  int n = snprintf(buf, sizeof buf, "%s%s%s", prefix[0], id, pay); md5((u8 *)buf, n, d); hex(d, 16, h);
  return bn + sprintf(body + bn, "&secure=%s", h);
}

/* ---- publisher ---- */
static long target; static u64 pub_t0; static long pub_k0; static int timer_armed;
static void arm(u64 at) { struct itimerspec t = {.it_value = {.tv_sec = at / 1000000000ull, .tv_nsec = at % 1000000000ull}}; timerfd_settime(tfd, TFD_TIMER_ABSTIME, &t, 0); timer_armed = 1; }
static u64 listeners_of(long seq) { long ch = seq % channels; return N > ch ? (N - ch + channels - 1) / channels : 0; }
static void try_publish(void) {
  static char *pay; if (!pay) pay = malloc(S + 64);
  static char *pb; static int pbn; if (!pb) pb = unesc(pub_body, &pbn);
  while (sent < target) {
    u64 t = now_ns(), sched = t; if (measuring && pub_secs > 0 && (t - pub_t0) / 1e9 > pub_secs) { target = sent; return; }
    double rate = measuring ? R : (R > 0 ? R : 0);
    if (rate > 0) { sched = pub_t0 + (u64)((sent - pub_k0) * 1e9 / rate); if (t < sched) { arm(sched); return; } if (measuring && t - sched > max_lag) max_lag = t - sched; }
    if (window && exp_total - delivered_all + listeners_of(sent) > (u64)window * (listeners_of(sent) ? listeners_of(sent) : 1)) return;
    conn *c = 0;
    for (int i = 0; i < pub_conns; i++) if (pubs[i].ready && !pubs[i].busy && pubs[i].state != ST_CLOSED && pubs[i].state != ST_CONNECTING) { c = &pubs[i]; break; }
    if (!c || (pub_ws && c->wlen - c->woff > (4 << 20))) return;
    t = now_ns(); int n = sprintf(pay, "%020llu.%010ld%s", (unsigned long long)(sched_ts ? sched : t), sent, mark);
    while (n < S) { pay[n] = 'a' + n % 26; n++; } pay[S] = 0;
    int bn = expand(pb, pbn, c, pay, S, sent, bodyb, sizeof bodyb, 0);
    if (pub_cometify) bn = cometify_sign(bodyb, bn, pay, sent);
    exp_total += listeners_of(sent); if (sent >= W) exp_run += listeners_of(sent);
    long seq = sent++; c->t_req = t;
    if (pub_ws) ws_send(c, bin ? 2 : 1, bodyb, bn);
    else { c->busy = 1; int k = http_req(c, reqb, sizeof reqb, pub_method, pub_pusher ? pusher_path(bodyb, bn) : pub_path, pub_headers, npub_headers, bodyb, bn, pub_ctype, seq); wr(c, reqb, k); }
  }
}
static void pump(int ms) {
  struct epoll_event ev[1024]; int n = epoll_wait(ep, ev, 1024, ms);
  for (int i = 0; i < n; i++) {
    conn *c = ev[i].data.ptr;
    if (!c) { u64 x; if (read(tfd, &x, 8)) {} timer_armed = 0; try_publish(); continue; }
    if (c->fd < 0) continue;
    if ((ev[i].events & EPOLLOUT) && c->state == ST_CONNECTING && !(ev[i].events & (EPOLLERR | EPOLLHUP))) { begin(c); if (c->state != ST_TLS && c->wlen == c->woff) ep_mod(c, 0); }
    else if (ev[i].events & EPOLLOUT && c->state == ST_TLS) shake(c);
    else if (ev[i].events & EPOLLOUT && c->state != ST_CONNECTING) flushw(c);
    if (ev[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) { on_read(c); }
    if (sent < target && !timer_armed && (c->role == R_PUB || window)) try_publish();
  }
  if (sent < target && !timer_armed) try_publish();
}

static void stop(int number) { told_to_stop = 1; }

int main(int ac, char **av) {
  for (int i = 1; i < ac; i++) {
    char *a = av[i]; int d;
#define OPT(x) (!strcmp(a, x))
#define V (i + 1 < ac ? av[++i] : (die("%s needs a value", a), ""))
    if (OPT("--mode")) { const char *v = V; mode = !strcmp(v, "ws") ? M_WS : !strcmp(v, "sse") ? M_SSE : !strcmp(v, "lines") ? (any_line = 1, M_SSE) : !strcmp(v, "longpoll") ? M_LP : (die("mode?"), 0); }
    else if (OPT("--host")) host = V; else if (OPT("--port")) port = atoi(V); else if (OPT("--path")) path = V;
    else if (OPT("-n")) N = atoi(V); else if (OPT("--header")) headers[nheaders++] = V;
    else if (OPT("--send")) { steps[nsteps].kind = STEP_SEND; steps[nsteps].s = unesc(V, &d); steps[nsteps++].n = d; }
    else if (OPT("--await")) { steps[nsteps].kind = STEP_AWAIT; steps[nsteps].s = unesc(V, &d); steps[nsteps++].n = d; }
    else if (OPT("--bin")) bin = 1; else if (OPT("--stream")) stream_mode = 1;
    else if (OPT("--reply")) { char *v = V, *m = strstr(v, "=>"); if (!m) die("--reply IN=>OUT"); rule *r = &replies[nreplies++]; r->a = unesc(strndup(v, m - v), &r->an); r->b = unesc(m + 2, &r->bn); }
    else if (OPT("--capture")) { caps[ncaps++] = V; }
    else if (OPT("--lp-method")) lp_method = V; else if (OPT("--lp-body")) lp_body = V; else if (OPT("--lp-ctype")) lp_ctype = V;
    else if (OPT("--concurrency")) concurrency = atoi(V); else if (OPT("--settle")) settle_ms = atoi(V); else if (OPT("--connect-timeout")) conn_timeout = atoi(V);
    else if (OPT("--src-n")) srcn = atoi(V); else if (OPT("--channels")) channels = atoi(V); else if (OPT("--hold")) hold_s = atof(V);
    else if (OPT("--pub-port")) pub_port = atoi(V); else if (OPT("--pub-path")) pub_path = V; else if (OPT("--pub-method")) pub_method = V;
    else if (OPT("--pub-header")) pub_headers[npub_headers++] = V; else if (OPT("--pub-ctype")) pub_ctype = V; else if (OPT("--pub-body")) pub_body = V;
    else if (OPT("--pub-enc")) { const char *v = V; if (!strcmp(v, "url") && !pub_ctype) pub_ctype = "application/x-www-form-urlencoded"; }
    else if (OPT("--pub-secs")) pub_secs = atof(V);
    else if (OPT("--pub-cometify")) { pub_cometify = V; if (strchr(pub_cometify, ':') == strrchr(pub_cometify, ':')) die("--pub-cometify KEY:SECRET:IDENTIFIER"); }
    else if (OPT("--pub-pusher")) { pub_pusher = V; if (!strchr(pub_pusher, ':')) die("--pub-pusher KEY:SECRET"); }
    else if (OPT("--pub-conns")) pub_conns = atoi(V); else if (OPT("--pub-ws")) pub_ws = 1;
    else if (OPT("--pub-send")) { psteps[npsteps].kind = STEP_SEND; psteps[npsteps].s = unesc(V, &d); psteps[npsteps++].n = d; }
    else if (OPT("--pub-await")) { psteps[npsteps].kind = STEP_AWAIT; psteps[npsteps].s = unesc(V, &d); psteps[npsteps++].n = d; }
    else if (OPT("-m")) M = atol(V); else if (OPT("-s")) S = atoi(V); else if (OPT("-r")) R = atof(V); else if (OPT("--window")) window = atol(V);
    else if (OPT("--warmup")) W = atol(V); else if (OPT("--drain")) drain_ms = atoi(V); else if (OPT("--max-run")) max_run = atoi(V); else if (OPT("--sched-ts")) sched_ts = 1;
    else if (OPT("--tls")) tls = 1; else if (OPT("--tell")) tell = 1;
    else if (OPT("--pid")) { for (char *p = strtok(V, ","); p; p = strtok(0, ",")) pids[npids++] = atoi(p); }
    else if (OPT("--label")) label = V;
    else die("unknown option %s (usage: top of wsload.c)", a);
  }
  if (!port) die("--port is required");
  if (!pub_port) pub_port = port;
  if (!pub_ctype) pub_ctype = "text/plain";
  S = S < 48 ? 48 : S > 900000 ? 900000 : S;
  concurrency = concurrency < 1 ? 1 : concurrency; channels = channels < 1 ? 1 : channels; srcn = srcn ? srcn : N / 20000 + 1;
  if (pub_conns < 1 || pub_ws) pub_conns = 1;
  signal(SIGPIPE, SIG_IGN); signal(SIGTERM, stop);
  struct rlimit rl = {1048576, 1048576}; if (setrlimit(RLIMIT_NOFILE, &rl)) { getrlimit(RLIMIT_NOFILE, &rl); rl.rlim_cur = rl.rlim_max; setrlimit(RLIMIT_NOFILE, &rl); }
  getrlimit(RLIMIT_NOFILE, &rl); if ((long)rl.rlim_cur < N + 64) die("RLIMIT_NOFILE %ld is too low", (long)rl.rlim_cur);
  u64 t = now_ns(); rng ^= (u32)t ^ getpid() * 2654435761u; sprintf(runid, "%08x", rnd()); sprintf(mark, ".wL%.8s..", runid);
  ep = epoll_create1(0); tfd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK); struct epoll_event te = {.events = EPOLLIN, .data.ptr = 0}; epoll_ctl(ep, EPOLL_CTL_ADD, tfd, &te);
  buf = malloc(BUFSZ + 64); scratch = malloc(BUFSZ + 64);
  subs = calloc(N + 1, sizeof *subs); pubs = calloc(pub_conns, sizeof *pubs); seenw = (M + W) / 64 + 1; seen = calloc((size_t)(N + 1) * seenw, 8);
  if (!seen) die("bitmap too large");

  usage u0 = get_usage(1); u64 k0 = kernel_kb(); u64 t0 = now_ns(), tl = t0; int lastr = 0;
  while (n_ready < N) {
    while (n_inflight < concurrency && n_started < N) { conn *c = &subs[n_started]; c->idx = n_started++; c->fd = -1; c->maxseq = -1; c->role = R_SUB; n_inflight++; do_connect(c); }
    pump(100); u64 x = now_ns(); if (n_ready != lastr) { lastr = n_ready; tl = x; }
    if ((x - t0) / 1e9 > conn_timeout) die("only %d of %d listeners subscribed after %d s", n_ready, N, conn_timeout);
  }
  double connect_s = (tl - t0) / 1e9; u64 join_ns = get_usage(0).sched_ns - u0.sched_ns, join_bytes = bytes_in;
  for (int i = 0; i < pub_conns && (M + W); i++) { pubs[i].role = R_PUB; pubs[i].fd = -1; pubs[i].idx = i; do_connect(&pubs[i]); }
  u64 ts = now_ns(); while (now_ns() - ts < (u64)settle_ms * 1000000ull) pump(20);
  for (int i = 0; i < pub_conns && (M + W); i++) while (!pubs[i].ready) { pump(20); if (now_ns() - ts > 10000000000ull) die("publisher not ready"); }
  usage u1 = get_usage(1); u64 k1 = kernel_kb();
  double idle_pct = -1; if (hold_s > 0) { usage a = get_usage(0); u64 h0 = now_ns(); while (now_ns() - h0 < hold_s * 1e9) pump(100); usage b = get_usage(0); idle_pct = 100.0 * (b.sched_ns - a.sched_ns) / (now_ns() - h0); u1 = get_usage(1); }
  if (W) { target = W; pub_t0 = now_ns(); pub_k0 = 0; t_last_delivery = pub_t0; try_publish(); u64 w0 = now_ns();
    while (sent < W || delivered_all < (long)exp_total) { pump(20); u64 x = now_ns(); if (sent >= W && x - t_last_delivery > (u64)drain_ms * 1000000ull) { fprintf(stderr, "wsload: warmup: %ld of %lu delivered\n", delivered_all, exp_total); break; } if ((x - w0) / 1e9 > max_run) die("warmup timed out"); }
    for (u64 x = now_ns(); now_ns() - x < 300000000ull;) pump(20);
    exp_total = delivered_all; /* Losses of the warm-up do not count against the window. */ }
  usage a = get_usage(0); sysuse s0 = get_sys(); u64 c0 = self_ns(), p0 = now_ns();
  if (M) {
    if (tell) fprintf(stderr, "wsload: publishing\n");
    measuring = 1; target = W + M; pub_t0 = now_ns(); pub_k0 = W; t_last_delivery = pub_t0; p0 = pub_t0; timer_armed = 0; try_publish();
    for (;;) {
      pump(20); u64 x = now_ns(); if (told_to_stop || (pub_secs > 0 && (x - pub_t0) / 1e9 > pub_secs)) target = sent;
      int alldone = sent >= target && (pub_ws || pub_done >= sent);
      if (alldone && delivered_run >= (long)exp_run) break;
      if (sent >= target && x - t_last_delivery > (u64)drain_ms * 1000000ull) break;
      if (window && sent < target && x - t_last_delivery > 5000000000ull && x - pub_t0 > 5000000000ull) { fprintf(stderr, "wsload: stalled\n"); break; }
      if ((x - pub_t0) / 1e9 > max_run) { fprintf(stderr, "wsload: --max-run reached\n"); break; }
    }
  }
  u64 p1 = now_ns(); usage b = get_usage(1); sysuse s1 = get_sys(); u64 c1 = self_ns();
  double wall = M ? ((N ? t_last_delivery : p1) - p0) / 1e9 : 0, span = (p1 - p0) / 1e9; if (wall <= 0) wall = span;
  long pubd = sent - W; if (pubd < 0) pubd = 0; double cpu = (b.sched_ns - a.sched_ns) / 1e3, D = delivered_run ? delivered_run : 1;
  printf("{\"label\":\"%s\",\"n\":%d,\"size\":%d,\"rate\":%g,\"window\":%ld,\"connect_per_s\":%.0f,\"cpu_us_per_join\":%.2f,\"join_bytes\":%lu,\"published\":%ld,\"pub_errors\":%ld,\"delivered\":%ld,\"expected\":%lu,\"lost\":%ld,\"dup\":%ld,\"ooo\":%ld,\"closed\":%d,\"reconnects\":%d,"
         "\"wall_s\":%.3f,\"deliveries_per_s\":%.0f,\"publishes_per_s\":%.1f,\"lat_us\":{\"p50\":%.0f,\"p95\":%.0f,\"p99\":%.0f,\"max\":%.0f},\"pub_lat_us\":{\"p50\":%.0f,\"p99\":%.0f,\"max\":%.0f},\"pub_max_lag_us\":%.0f,"
         "\"cpu_us_per_delivery\":%.3f,\"cpu_user_us\":%.3f,\"cpu_sys_us\":%.3f,\"cpu_us_per_publish\":%.2f,\"server_cpu_pct\":%.1f,\"client_cpu_pct\":%.1f,\"client_us_per_delivery\":%.3f,\"machine_busy_pct\":%.1f,\"steal_pct\":%.1f,"
         "\"procs\":%d,\"rss0_kb\":%lu,\"pss0_kb\":%lu,\"rss1_kb\":%lu,\"pss1_kb\":%lu,\"rss2_kb\":%lu,\"bytes_per_conn\":%.0f,\"kernel_bytes_per_conn\":%.0f,\"idle_cpu_pct\":%.2f,\"bytes_in\":%lu}\n",
         label, N, S, R, window, N / (connect_s > 0 ? connect_s : 1), N && npids ? join_ns / 1e3 / N : 0, join_bytes, pubd, pub_err, delivered_run, exp_run, (long)exp_run - delivered_run, dups, ooo, n_closed, n_reconn,
         wall, M ? delivered_run / wall : 0, M ? pubd / (N ? wall : span) : 0, pct(hist, hn, .5), pct(hist, hn, .95), pct(hist, hn, .99), hmax / 1000.0, pct(phist, phn, .5), pct(phist, phn, .99), phmax / 1000.0, max_lag / 1000.0,
         M && npids ? cpu / D : 0, M && npids ? (b.ut - a.ut) * 1e4 / D : 0, M && npids ? (b.st - a.st) * 1e4 / D : 0, pubd && npids ? cpu / pubd : 0, M ? cpu / 1e4 / span : 0, M ? (c1 - c0) / 1e7 / span : 0, M ? (c1 - c0) / 1e3 / D : 0,
         s1.total > s0.total ? 100.0 * (s1.busy - s0.busy) / (s1.total - s0.total) : 0, s1.total > s0.total ? 100.0 * (s1.steal - s0.steal) / (s1.total - s0.total) : 0,
         b.np, u0.rss, u0.pss, u1.rss, u1.pss, b.rss, N && npids ? ((double)u1.pss - u0.pss) * 1024 / N : 0, N ? ((double)k1 - k0) * 1024 / N : 0, idle_pct, bytes_in);
  return (long)exp_run == delivered_run && !pub_err ? 0 : 1;
}
