// A word's button lays its attention over the large picture: while it is pointed at or focused, or, once
// pressed, until it is pressed again. Without this script the small pictures still show the same.
for (const card of document.querySelectorAll(".card")) {
  const stage = card.querySelector(".stage");
  const buttons = [...card.querySelectorAll(".words button")].filter((button) => button.querySelector("img"));
  const show = (button) => {
    const shown = stage.querySelector("img");
    const wanted = button && button.querySelector("img").src;
    if (shown && shown.src === wanted) return;
    if (shown) shown.remove();
    if (wanted) stage.append(Object.assign(new Image(), { src: wanted, alt: "" }));
  };
  const settle = () => show(buttons.find((button) => button.getAttribute("aria-pressed") === "true"));
  for (const button of buttons) {
    button.addEventListener("pointerenter", () => show(button));
    button.addEventListener("pointerleave", settle);
    button.addEventListener("focus", () => show(button));
    button.addEventListener("blur", settle);
    button.addEventListener("click", () => {
      const pressed = button.getAttribute("aria-pressed") === "true";
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button && !pressed));
      settle();
    });
  }
}
