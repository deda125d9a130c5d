"use strict";
// Keeps the page of a rebuild run up to date: fetches what changes, from this server alone. What is the
// same stays in place, so that nothing loses the focus and a screen reader says only what is new.
(() => {
    const PERIOD_MS = 3000;
    const page = document.getElementById("run-progress");

    const part = (root, name) => root.querySelector(`[data-part="${name}"]`);

    const isSame = (name, shown, fresh) =>
        name === "buttons" // their tokens differ each time
            ? shown.dataset.state === fresh.dataset.state
            : shown.innerHTML === fresh.innerHTML;

    const show = (fresh) => {
        for (const name of ["state", "figures", "buttons"]) {
            const before = part(page, name);
            const after = part(fresh, name);
            if (!isSame(name, before, after)) {
                before.innerHTML = after.innerHTML;
                before.dataset.state = after.dataset.state ?? "";
            }
        }
        return part(fresh, "figures").hasAttribute("data-over");
    };

    const isOver = async () => {
        if (document.hidden) {
            return false;
        }
        const answer = await fetch(page.dataset.address, { credentials: "same-origin" });
        if (answer.redirected || answer.status === 403 || answer.status === 404) {
            return true; // signed out, or no longer allowed: the page stays as it was
        }
        if (!answer.ok) {
            return false;
        }
        return show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    };

    const lookAgain = async () => {
        // A server that is away for a moment is asked again.
        if (!(await isOver().catch(() => false))) {
            setTimeout(lookAgain, PERIOD_MS);
        }
    };

    if (page && !part(page, "figures").hasAttribute("data-over")) {
        setTimeout(lookAgain, PERIOD_MS);
    }
})();
