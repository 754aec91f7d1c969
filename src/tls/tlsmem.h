/*
 * Memory for OpenSSL: a handshake asks for some two thousand small blocks and gives nearly all of
 * them back, each record of a busy connection for one of 17 KiB. A worker keeps what it has freed,
 * up to a bound, and takes it again without a lock and without splitting and merging; all else is
 * malloc(3)'s.
 */
#ifndef TLS_TLSMEM_H
#define TLS_TLSMEM_H

#include <stdbool.h>
#include <stddef.h>

/* What a thread keeps at most of blocks of one size, in bytes; or one block, if that is larger. */
#define TLSMEM_CACHED_MAX ((size_t)16 * 1024)

/*
 * To be called before anything else of OpenSSL (CRYPTO_set_mem_functions(3)), which from then on
 * takes its memory here. False: it is too late, and OpenSSL goes on with malloc().
 */
bool tlsmem_install(void);

/* From now on this thread keeps what it frees; and frees it when it ends. */
void tlsmem_thread_init(void);
void tlsmem_thread_exit(void);

/* As malloc(3), realloc(3) and free(3), with which they may be mixed, and other threads' blocks. */
void *tlsmem_alloc(size_t size);
void *tlsmem_realloc(void *p, size_t size);
void tlsmem_free(void *p);

/* How many bytes this thread keeps now. */
size_t tlsmem_cached(void);

#endif
