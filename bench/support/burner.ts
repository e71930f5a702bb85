/** Keeps a processor busy until it is ended, so that a server beside it has only a share of that processor. */
for (;;);
