// Stands in for `webrtc-polyfill`, whose native module has to be built: the end-to-end tests use TCP only.
export const RTCPeerConnection = undefined;
export const RTCSessionDescription = undefined;
export const RTCIceCandidate = undefined;
