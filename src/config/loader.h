/*
 * Reads INI files (inifile.h) into the structs of section.h by the table of options (options.h),
 * and checks every value (values.h) and whatever several values say together (validate.h).
 */
#ifndef CONFIG_LOADER_H
#define CONFIG_LOADER_H

#include <stddef.h>

#include "base/file.h"
#include "config/diag.h"
#include "config/section.h"

/* The configuration of both programs, if no other is named. */
#define CONFIG_DEFAULT_PATH PINPROXY_SYSCONFDIR "/pinproxy/pinproxyd.conf"

/*
 * Reads a configuration and the files that it includes. origin: FILE_CONFIGURED if the file must
 * exist to be read again at a reload. Every error is added to diags. If there is one, the result
 * may be used only to find further errors. Never returns NULL; the caller frees the result.
 */
struct config *config_load(const char *path, enum file_origin origin, struct diag_list *diags);

/* The same from len bytes of text. path is for messages, and the base of relative paths. */
struct config *config_parse(const char *path, const char *text, size_t len,
                            struct diag_list *diags);

/*
 * Makes a configuration of one section that has every default, for a connection that the tool
 * makes without a file. Stores the section, which the configuration owns. The caller frees it.
 */
struct config *config_new_adhoc(const char *name, struct config_section **section);

#endif
