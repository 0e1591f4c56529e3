// The page wears the style sheet that is in the editor.
const worn = document.head.appendChild(document.createElement("style"));
const source = document.querySelector("textarea[name=style]");

function wear() {
    worn.textContent = source.value;
}

document.addEventListener("keyup", wear);
wear();
