"""Seeds or downloads one torrent with libtorrent until it is told to end.

Usage: libtorrent-process.py TORRENT DIRECTORY HOST PORT
"""

import signal
import sys
import time

import libtorrent


def main() -> None:
    torrent, directory, host, port = sys.argv[1:]
    settings = {
        "listen_interfaces": (f"[{host}]" if ":" in host else host) + ":" + port,
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_incoming_utp": False,
        "enable_outgoing_utp": False,
        "allow_multiple_connections_per_ip": True,
        "announce_to_all_trackers": True,
        "announce_to_all_tiers": True,
        "min_announce_interval": 5,
        "alert_mask": libtorrent.alert.category_t.tracker_notification
        | libtorrent.alert.category_t.error_notification
        | libtorrent.alert.category_t.connect_notification,
    }
    if "webtorrent_stun_server" in libtorrent.default_settings():
        settings["webtorrent_stun_server"] = ""
        settings["min_websocket_announce_interval"] = 5
        settings["ssrf_mitigation"] = False
    session = libtorrent.session(settings)
    handle = session.add_torrent({"ti": libtorrent.torrent_info(torrent), "save_path": directory})
    running = True

    def end(_signal, _frame):
        nonlocal running
        running = False

    signal.signal(signal.SIGINT, end)
    state = None
    while running:
        session.wait_for_alert(500)
        for alert in session.pop_alerts():
            print(alert.what(), alert.message(), flush=True)
        status = handle.status()
        if status.state != state:
            state = status.state
            print("state", state, f"{status.progress:.0%}", flush=True)
    session.pause()  # announces the stop
    deadline = time.monotonic() + 2
    stopped = False
    while not stopped and time.monotonic() < deadline:
        session.wait_for_alert(100)
        stopped = any(alert.what() == "tracker_reply" for alert in session.pop_alerts())


main()
