// Loaded for visitors only. A link in a mail that is read in the browser comes from another site, and the browser then
// keeps the session's cookie back (SameSite=Strict): who is signed in would look like a visitor. From here, the cookie is
// sent: ask once, and open the same page again as who one is.

import { load } from "./shell.js";

const own = document.referrer.startsWith(`${location.origin}/`);
if (!own) {
  try {
    const { name } = await load("/pages/data/session");
    if (name !== null) location.replace(location.href);
  } catch {
    // Then the page stays that of a visitor, who can sign in.
  }
}
