/* Listeners: the values of `listen`. */
#ifndef CONFIG_LISTEN_H
#define CONFIG_LISTEN_H

#include "config/section.h"

/*
 * Parses ADDR:PORT, [IPV6]:PORT or unix:PATH[,mode=0660][,user=U][,group=G] into the address, mode,
 * user and group of *listen. A relative path starts at dir (NULL: the working directory). Texts are
 * in the arena. Returns NULL, or what is wrong or expected: a literal, or in the arena.
 */
const char *listen_parse(const char *value, const char *dir, struct arena *arena,
                         struct config_listen *listen);

#endif
