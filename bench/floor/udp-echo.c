/*
 * The floor: responds to UDP tracker requests with packets of the right size but without logic, 64 per system call. Its cost
 * is the cost of the kernel, which no tracker can undercut.
 *
 * Usage: udp-echo PORT PEERS   (on 127.0.0.1; PEERS in each announce response)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { batch = 64, capacity = 2048 };

static struct mmsghdr in[batch], out[batch];
static struct iovec in_iov[batch], out_iov[batch];
static struct sockaddr_in names[batch];
static uint8_t requests[batch][capacity], responses[batch][capacity];

int main(int argc, char **argv) {
  int port = argc > 1 ? atoi(argv[1]) : 0;
  int peers = argc > 2 ? atoi(argv[2]) : 30;
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  int size = 8 << 20;
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) < 0) {
    perror("udp-echo");
    return 1;
  }
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  for (int i = 0; i < batch; i++) {
    in_iov[i] = (struct iovec){requests[i], capacity};
    out_iov[i] = (struct iovec){responses[i], 0};
    in[i].msg_hdr = (struct msghdr){.msg_name = &names[i], .msg_iov = &in_iov[i], .msg_iovlen = 1};
    out[i].msg_hdr = (struct msghdr){.msg_name = &names[i], .msg_namelen = sizeof names[i],
                                     .msg_iov = &out_iov[i], .msg_iovlen = 1};
  }
  for (;;) {
    for (int i = 0; i < batch; i++) in[i].msg_hdr.msg_namelen = sizeof names[i];
    int count = recvmmsg(fd, in, batch, MSG_WAITFORONE, NULL);
    for (int i = 0; i < count; i++) {
      uint8_t action = requests[i][11];
      memcpy(responses[i], requests[i] + 8, 8); /* action, transaction id */
      out_iov[i].iov_len = action == 0 ? 16 : action == 2 ? 20 : 20 + 6 * (size_t)peers;
    }
    for (int sent = 0; sent < count;) {
      int n = sendmmsg(fd, out + sent, count - sent, 0);
      sent += n > 0 ? n : 1;
    }
  }
}
