// Names and states that a screen reader needs, where Gradio's own parts leave them out.

const LABEL = "[data-testid=block-label], [data-testid=block-info]";

const set = (element, name, value) => {
  // Only what differs, since every change is watched.
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
};

const complete = () => {
  for (const [part, verb] of [
    [".upload-container", "Choose a file"],
    [".reset-button", "Reset"],
  ]) {
    for (const button of document.querySelectorAll(`button${part}`)) {
      const name = button.closest(".block")?.querySelector(LABEL)?.textContent.trim();
      if (name) set(button, "aria-label", `${verb}: ${name}`);
    }
  }
  for (const button of document.querySelectorAll(".gr-accordion > button.label-wrap")) {
    set(button, "aria-expanded", String(button.classList.contains("open")));
    const arrow = button.querySelector(".icon");
    if (arrow) set(arrow, "aria-hidden", "true");
  }
};

new MutationObserver(complete).observe(document.body, {
  childList: true,
  subtree: true,
  attributeFilter: ["class"],
});
complete();
