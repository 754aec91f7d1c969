/*
 * Per-thread free lists for OpenSSL. A handshake makes about 2000 small allocations and frees
 * nearly all of them; each record of a busy connection allocates 17 KiB. A worker thread caches
 * freed blocks and reuses them without locking. Everything else goes to malloc(3).
 */
#ifndef TLS_TLSMEM_H
#define TLS_TLSMEM_H

#include <stdbool.h>
#include <stddef.h>

/* The maximum size of cached blocks of one size, in bytes; at least one block is cached. */
#define TLSMEM_CACHED_MAX ((size_t)16 * 1024)

/*
 * Makes OpenSSL use this allocator (CRYPTO_set_mem_functions(3)). To be called before any other
 * function of OpenSSL. Returns false if it was too late, and OpenSSL still uses malloc().
 */
bool tlsmem_install(void);

/* Start caching in this thread; end it, and free what is cached. */
void tlsmem_thread_init(void);
void tlsmem_thread_exit(void);

/*
 * As malloc(3), realloc(3) and free(3). Blocks of these, and of other threads, are permitted.
 */
void *tlsmem_alloc(size_t size);
void *tlsmem_realloc(void *p, size_t size);
void tlsmem_free(void *p);

/* Returns the number of bytes that this thread caches. */
size_t tlsmem_cached(void);

#endif
