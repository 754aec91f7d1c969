/* The speeds of serial lines, in bits a second, that termios(3) has a constant for. */
#ifndef BASE_BAUD_H
#define BASE_BAUD_H

#include <stdbool.h>
#include <termios.h>

#define BAUD_DEFAULT 115200

/* Sets *speed to the constant for a speed. Returns false if there is none; *speed is unchanged. */
bool baud_find(long bits, speed_t *speed);

#endif
