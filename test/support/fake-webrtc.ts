/** WebRTC that connects nobody: descriptions have texts of their own, and are kept. For clients that only a tracker tests. */

import type { Client } from "bittorrent-tracker";

interface Description {
  type: string;
  sdp: string;
}

let made = 0;

class FakePeerConnection {
  localDescription: Description | null = null;
  remoteDescription: Description | null = null;
  readonly iceConnectionState = "new";
  readonly iceGatheringState = "complete";
  readonly connectionState = "new";
  readonly signalingState = "stable";
  onicecandidate: ((event: { candidate: null }) => void) | null = null;

  createDataChannel(): object {
    return { readyState: "connecting", close: () => undefined };
  }

  createOffer(): Promise<Description> {
    return Promise.resolve({ type: "offer", sdp: `v=0\r\ns=offer ${++made} \u00fc\r\n` });
  }

  createAnswer(): Promise<Description> {
    return Promise.resolve({ type: "answer", sdp: `v=0\r\ns=answer to ${this.remoteDescription?.sdp}` });
  }

  setLocalDescription(description: Description): Promise<void> {
    this.localDescription = description;
    // There are no candidates to wait for.
    setImmediate(() => this.onicecandidate?.({ candidate: null }));
    return Promise.resolve();
  }

  setRemoteDescription(description: Description): Promise<void> {
    this.remoteDescription = description;
    return Promise.resolve();
  }

  addIceCandidate(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {}
}

class FakeDescription {
  constructor(description: Description) {
    Object.assign(this, description);
  }
}

/** Imports the client of bittorrent-tracker with this WebRTC. */
export async function importClient(): Promise<typeof Client> {
  Object.assign(globalThis, {
    RTCPeerConnection: FakePeerConnection,
    RTCSessionDescription: FakeDescription,
    RTCIceCandidate: FakeDescription,
  });
  return (await import("bittorrent-tracker")).Client;
}
