import type { Counter, Metrics } from "../observability/metrics.ts";

/** Counts the payload of one protocol, without the headers of TCP, UDP and TLS. */
export interface Traffic {
  readonly received: Counter;
  readonly sent: Counter;
}

/** Registers the counters of a frontend. @param protocol  its name */
export function countTraffic(metrics: Metrics, protocol: string): Traffic {
  return {
    received: metrics.counter(
      "chihaya_received_bytes_total",
      "Bytes that clients have sent, without the headers of TCP, UDP and TLS",
      { protocol },
    ),
    sent: metrics.counter(
      "chihaya_sent_bytes_total",
      "Bytes that were sent to clients, without the headers of TCP, UDP and TLS",
      { protocol },
    ),
  };
}

/** Registers the drops of a UDP socket. @param read  returns them, or throws an error if they are unknown */
export function countKernelDrops(metrics: Metrics, listener: string, read: () => number): void {
  const help = "Datagrams that the kernel dropped because the receive buffer was full";
  metrics.counterFrom("chihaya_udp_kernel_drops_total", help, read, { listener });
}
