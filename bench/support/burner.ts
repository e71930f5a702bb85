/** Keeps a processor busy until the program is killed, so that a server on this processor gets only a share of it. */
for (;;);
