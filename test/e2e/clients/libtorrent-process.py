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
        "min_reconnect_time": 5,  # a call that failed is tried again within the time that tests wait
        "alert_mask": libtorrent.alert.category_t.tracker_notification
        | libtorrent.alert.category_t.error_notification
        | libtorrent.alert.category_t.connect_notification,
    }
    if "webtorrent_stun_server" in libtorrent.default_settings():
        settings["webtorrent_stun_server"] = ""
        settings["min_websocket_announce_interval"] = 5
        settings["ssrf_mitigation"] = False
        settings["validate_https_trackers"] = False  # certificates of tests are self-signed
    session = libtorrent.session(settings)
    handle = session.add_torrent({"ti": libtorrent.torrent_info(torrent), "save_path": directory})
    running = True
    announcing = set()  # trackers whose response is awaited

    def take_alerts():
        session.wait_for_alert(100)
        alerts = session.pop_alerts()
        for alert in alerts:
            print(alert.what(), alert.message(), flush=True)
            if alert.what() == "tracker_announce":
                announcing.add(alert.url)
            elif alert.what() in ("tracker_reply", "tracker_error"):
                announcing.discard(alert.url)
        return [alert.what() for alert in alerts]

    def end(_signal, _frame):
        nonlocal running
        running = False

    signal.signal(signal.SIGINT, end)
    state = None
    while running:
        take_alerts()
        status = handle.status()
        if status.state != state:
            state = status.state
            print("state", state, f"{status.progress:.0%}", flush=True)
    deadline = time.monotonic() + 30
    while announcing and time.monotonic() < deadline:
        take_alerts()  # to a tracker whose response it awaits, libtorrent announces no stop
    session.pause()  # announces the stop
    deadline = time.monotonic() + 30
    stopped = False
    while (announcing or not stopped) and time.monotonic() < deadline:
        stopped = "tracker_announce" in take_alerts() or stopped


main()
