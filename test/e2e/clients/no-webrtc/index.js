// Stands in for `webrtc-polyfill`, whose native module has to be built. A test may set globals with WebRTC of its own before it
// imports a client; otherwise there is no WebRTC.
export const { RTCPeerConnection, RTCSessionDescription, RTCIceCandidate } = globalThis;
