/* A program that is started with this preloaded has a name server that hangs: the name slow.example is answered after 25 s,
   and at once while the file exists that NAMES_WORK names. Its address is 127.0.0.1. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int lookup(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    lookup *real = (lookup *)dlsym(RTLD_NEXT, "getaddrinfo");
    if (name && strcmp(name, "slow.example") == 0) {
        if (access(getenv("NAMES_WORK"), F_OK) != 0) sleep(25);
        name = "127.0.0.1";
    }
    return real(name, service, hints, found);
}
