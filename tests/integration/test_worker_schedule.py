"""Schedules of workers: a minute has to begin for it, which is why it is a test of its own."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import test_node_workers
import verge


class Schedule(test_node_workers.WithWorkers):
    def test_the_clock_calls_scheduled(self):
        origin = self.origin()
        node = self.served(("clock", f"""
            export default {{ async scheduled(controller) {{
              await fetch("{origin.url}/" + encodeURIComponent(controller.cron) + "/" + controller.scheduledTime % 60000);
            }} }};""", 'cron = ["* * * * *", "0 0 29 2 *"]\nprivate_addresses = true'))
        self.assertEqual(node.status()["workers"][0]["errors"], 0)
        # Within the minute.
        verge.wait_until(lambda: origin.requests, "a minute begins", 60 + verge.PATIENCE)
        self.assertEqual(origin.requests[0][1], "/*%20*%20*%20*%20*/0")


if __name__ == "__main__":
    if os.environ.get("VERGE_SANITIZE"):
        print("a sanitizer needs system calls and memory that the sandbox takes away: skipped")
        sys.exit(0)
    verge.unittest.main(verbosity=2)
