"""What doses do, judged: endpoints, comparison of schedules, search for them."""
