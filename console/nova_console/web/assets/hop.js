// A link was followed: keep this browser's key, and leave the link out of where one is.
"use strict";
localStorage.setItem("nova-key", document.body.dataset.key);
location.replace("/");
