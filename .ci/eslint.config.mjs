// The rules for the scripts of the page: what no reader should have to look for. Used by .ci/scripts.

const LONGEST_FUNCTION = 50;

/** The function that makes a room is as long as its file; what is in it is short. */
const shortFunctions = {
  create(context) {
    const isRoom = (call) => call.type === "CallExpression" && (call.callee.property ?? call.callee).name === "room";
    const check = (node) => {
      const lines = node.loc.end.line - node.loc.start.line + 1;
      if (lines > LONGEST_FUNCTION && !isRoom(node.parent))
        context.report({ node, message: `This function has ${lines} lines; at most ${LONGEST_FUNCTION}.` });
    };
    return { FunctionDeclaration: check, FunctionExpression: check, ArrowFunctionExpression: check };
  },
};

const browser = `AbortController Blob CSS CustomEvent DOMException Element Event File FileReader HTMLElement Image ImageData
  IntersectionObserver Intl KeyboardEvent Map Node OffscreenCanvas Promise ResizeObserver Set URL URLSearchParams Worker
  addEventListener cancelAnimationFrame clearTimeout clearInterval createImageBitmap decodeURIComponent
  devicePixelRatio document encodeURIComponent getComputedStyle history innerHeight innerWidth localStorage location
  matchMedia navigator performance queueMicrotask requestAnimationFrame requestIdleCallback screen scrollTo self
  setInterval setTimeout structuredClone trustedTypes window civitai`.split(/\s+/);

export default [
  {
    files: ["**/*.js"],
    languageOptions: {
      ecmaVersion: 2022,
      sourceType: "script",
      globals: Object.fromEntries(browser.map((name) => [name, "readonly"])),
    },
    linterOptions: { reportUnusedDisableDirectives: "error", noInlineConfig: true },
    plugins: { house: { rules: { "short-functions": shortFunctions } } },
    rules: {
      "house/short-functions": "error",
      "max-lines": ["error", { max: 399 }],
      "max-len": ["error", { code: 120, ignoreUrls: true, ignoreStrings: true, ignoreTemplateLiterals: true }],
      strict: ["error", "global"],
      eqeqeq: ["error", "always", { null: "ignore" }],
      "no-console": "error",
      "no-alert": "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-undef": "error",
      "no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "no-shadow": "error",
      "no-var": "error",
      "prefer-const": "error",
      "no-empty": ["error", { allowEmptyCatch: true }],
      "no-restricted-globals": ["error", "event", "name", "status"],
      "no-restricted-properties": [
        "error",
        ...["innerHTML", "outerHTML", "insertAdjacentHTML", "srcdoc", "createContextualFragment"].map((property) => ({
          property,
          message: "Markup from a text is never made into nodes; see dom.js.",
        })),
      ],
    },
  },
];
