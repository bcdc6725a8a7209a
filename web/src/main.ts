import "./styles/tokens.css";
import "./styles/base.css";
import { mount } from "svelte";
import App from "./App.svelte";
import { keepFocus } from "./focus.ts";

keepFocus();
mount(App, { target: document.querySelector("#app")! });
