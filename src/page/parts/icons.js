// Small pictures beside words; who cannot see them misses nothing.
import { html } from "../preact.js";

const PATHS = {
  chat: "M4 4.5h12a1.5 1.5 0 0 1 1.5 1.5v7a1.5 1.5 0 0 1-1.5 1.5H9.5L6 17.5v-3H4A1.5 1.5 0 0 1 2.5 13V6A1.5 1.5 0 0 1 4 4.5Z",
  swarm: "M10 7.5 6 13m4-5.5 4 5.5M8 5a2 2 0 1 0 4 0 2 2 0 1 0-4 0M3 15a2 2 0 1 0 4 0 2 2 0 1 0-4 0m10 0a2 2 0 1 0 4 0 2 2 0 1 0-4 0",
  runs: "M3 5h.01M3 10h.01M3 15h.01M7 5h10M7 10h10M7 15h6",
  approvals: "M2.5 10a7.5 7.5 0 1 0 15 0 7.5 7.5 0 1 0-15 0m4 .2 2.4 2.4 4.6-5",
  usage: "M3.5 17h13M5 14V9.5m5 4.5V4m5 10V7",
  preferences: "M3 6h8m4 0h2M3 14h2m4 0h8M11 6a2 2 0 1 0 4 0 2 2 0 1 0-4 0m-6 8a2 2 0 1 0 4 0 2 2 0 1 0-4 0",
};

export const Icon = ({ name }) => html`
  <svg class="icon" viewBox="0 0 20 20" width="18" height="18" aria-hidden="true" focusable="false">
    <path d=${PATHS[name]} />
  </svg>
`;

/** The service's sign, as icon.svg has it. */
export const Sign = () => html`
  <svg class="sign" viewBox="0 0 32 32" width="22" height="22" aria-hidden="true" focusable="false">
    <rect width="32" height="32" rx="7" />
    <path d="M16 9 8 22M16 9l8 13M8 22h16" />
    <circle cx="16" cy="9" r="4" /><circle cx="8" cy="22" r="4" /><circle cx="24" cy="22" r="4" />
  </svg>
`;
