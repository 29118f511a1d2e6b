// Files as the page has them, or as visitors give them: chosen or dropped, alone or in folders (`photos/cat/1.png`).

/** The name of folders that were dropped side by side. */
const TOGETHER = "pictures";

async function read(pairs) {
  const shown = pairs.filter(([name]) => !name.split("/").some((part) => part.startsWith(".")));
  const tops = new Set(shown.filter(([name]) => name.includes("/")).map(([name]) => name.split("/")[0]));
  // Folders of classes without the one around them.
  const place = (name) => (tops.size > 1 && name.includes("/") ? `${TOGETHER}/${name}` : name);
  return Promise.all(shown.map(async ([name, file]) => [place(name), new Uint8Array(await file.arrayBuffer())]));
}

/** Names and bytes of the files of an input. */
export function chosen(files) {
  return read([...files].map((file) => [file.webkitRelativePath || file.name, file]));
}

/** Names and bytes of what was dropped. */
export async function dropped(transfer) {
  // The list is empty once something was awaited.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length === 0) return chosen(transfer.files);
  const found = [];
  for (const entry of entries) await gather(entry, found);
  return read(found);
}

async function gather(entry, found) {
  const wait = (work) => new Promise(work);
  if (entry.isFile) {
    found.push([entry.fullPath.slice(1), await wait((resolve, reject) => entry.file(resolve, reject))]);
    return;
  }
  const reader = entry.createReader();
  // A folder's contents come in parts, the last of which is empty.
  for (;;) {
    const some = await wait((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const inner of some) await gather(inner, found);
  }
}

/** Files that are fetched at the same time: browsers refuse thousands of requests at once. */
const AT_ONCE = 16;

/** Names and bytes of files of the page's own data. */
export async function fetched(names) {
  const found = [];
  let next = 0;
  const some = async () => {
    while (next < names.length) {
      const at = next++;
      const path = names[at].split("/").map(encodeURIComponent).join("/");
      const answer = await fetch(new URL(`data/${path}`, import.meta.url));
      if (!answer.ok) throw new Error(`data/${names[at]} is not in this folder (${answer.status})`);
      found[at] = [names[at], new Uint8Array(await answer.arrayBuffer())];
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, some));
  return found;
}

/** What the data among these files are called in an experiment: a folder, or else the first file. */
export function sourceOf(names) {
  const inside = names.find((name) => name.includes("/"));
  if (inside) return inside.split("/")[0];
  if (names.some((name) => /\.(png|jpe?g|webp|bmp|gif|tiff?)$/i.test(name))) {
    throw new Error("Pictures lie in one folder per class: drop the folder that holds these folders, or choose it.");
  }
  return names[0];
}

/** Whether a file or a folder is among these files. */
export function isAmong(names, wanted) {
  return names.some((name) => name === wanted || name.startsWith(`${wanted}/`));
}
