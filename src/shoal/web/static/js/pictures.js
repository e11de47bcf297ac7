// Pictures of people and conversations: fetched once, when they are first shown, and again when they change.
import { signal } from "@preact/signals";
import { api } from "./api.js";
import { t } from "./i18n.js";

const SIDE = 256; // pixels of a picture that we give to others
const KINDS = "image/png,image/jpeg,image/gif,image/webp";

const SHOWN = 60_000; // milliseconds: who has been given an address has its picture by then

const known = signal({}); // by place: an address for an image; "" while it comes, or if there is none
const asked = new Map(); // by place: the latest request

export const personPlace = (account, id) => `people/${id}?${new URLSearchParams({ account })}`;
export const groupPlace = (account, id) => `conversations/${id}?${new URLSearchParams({ account })}`;

// The address of the picture at *place*, once it is here.
export function picture(place) {
  const address = known.value[place];
  if (address === undefined && !asked.has(place)) fetchLater(place);
  return address ?? "";
}

async function fetchLater(place) {
  const request = Symbol(place);
  asked.set(place, request);
  let address = "";
  try {
    const found = await api.picture(place);
    if (found) address = URL.createObjectURL(found);
  } catch {
    // The node is away: initials do.
  }
  if (asked.get(place) === request) known.value = { ...known.value, [place]: address };
  else URL.revokeObjectURL(address);
}

// It is another one now, or gone.
export function forget(place) {
  asked.delete(place);
  const { [place]: address, ...others } = known.value;
  if (address) setTimeout(() => URL.revokeObjectURL(address), SHOWN);
  known.value = others;
}

export function forgetAll() {
  for (const place of Object.keys(known.value)) forget(place);
}

// A picture of ours as the node takes it: its middle, small, and without what cameras write into it.
async function shrunk(file) {
  const image = await createImageBitmap(file).catch(() => null);
  if (!image) throw new Error(t("picture.bad"));
  const side = Math.min(image.width, image.height);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, SIDE, SIDE);
  pen.drawImage(image, (image.width - side) / 2, (image.height - side) / 2, side, side, 0, 0, SIDE, SIDE);
  image.close();
  return canvas.toDataURL("image/jpeg", 0.85).split(",")[1];
}

export const choosing = (give) => ({
  type: "file",
  accept: KINDS,
  onChange: async (event) => {
    const box = event.currentTarget;
    const [file] = box.files;
    if (file) await give(async () => shrunk(file));
    box.value = "";
  },
});
