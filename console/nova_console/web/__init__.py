"""`nova console --web`: the console in browsers. `serve` is the way in; see docs/console-web.md."""
