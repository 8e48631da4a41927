// Lists with filters: fields that are empty need not stand in the address.

const form = document.getElementById("filters");
form?.addEventListener("submit", () => {
  for (const field of form.elements) if (field.name && !field.value) field.disabled = true;
});
addEventListener("pageshow", () => {
  for (const field of form?.elements || []) field.disabled = false;
});
