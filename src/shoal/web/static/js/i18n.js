// What people read, one JSON per language. A text that a language lacks is shown in English.
import { signal } from "@preact/signals";

export const LANGUAGES = { en: "English", de: "Deutsch" };
const KEY = "shoal.language";
const texts = signal({});
const english = signal({});

async function load(language) {
  const response = await fetch(`/static/lang/${language}.json`);
  return response.json();
}

export function language() {
  const wanted = [localStorage.getItem(KEY), ...navigator.languages.map((each) => each.slice(0, 2))];
  return wanted.find((each) => each in LANGUAGES) ?? "en";
}

export async function setLanguage(code) {
  localStorage.setItem(KEY, code);
  await loadTexts();
}

export async function loadTexts() {
  const code = language();
  english.value = await load("en");
  texts.value = code === "en" ? english.value : await load(code);
  document.documentElement.lang = code;
}

// The text called *key*, with {names} replaced; of counted ones, `key.one` where `count` is 1.
export function t(key, values = {}) {
  const chosen = values.count === 1 && `${key}.one` in english.value ? `${key}.one` : key;
  const text = texts.value[chosen] ?? english.value[chosen] ?? chosen;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

// How dates and numbers are written: as where the user is, if that is where the language is.
const place = () => navigator.languages.find((each) => each.startsWith(language())) ?? language();

export function clock(wall) {
  const moment = new Date(wall * 1000);
  const isToday = moment.toDateString() === new Date().toDateString();
  const options = isToday ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" };
  return new Intl.DateTimeFormat(place(), options).format(moment);
}

// A time of today, or a day.
export function moment(wall) {
  const then = new Date(wall * 1000);
  const isToday = then.toDateString() === new Date().toDateString();
  return new Intl.DateTimeFormat(place(), isToday ? { timeStyle: "short" } : { day: "numeric", month: "short" }).format(then);
}

// How long something took: seconds, minutes or hours.
export function lasted(seconds) {
  const [unit, length] = [["hour", 3600], ["minute", 60], ["second", 1]].find(([, each]) => seconds >= each) ?? ["second", 1];
  const style = { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: unit === "second" ? 1 : 0 };
  return new Intl.NumberFormat(place(), style).format(seconds / length);
}

export function size(bytes) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const unitDisplay = step ? "short" : "long";
  const style = { style: "unit", unit: units[step], unitDisplay, maximumFractionDigits: 1 };
  return new Intl.NumberFormat(place(), style).format(bytes / 1000 ** step);
}
