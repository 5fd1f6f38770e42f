/** Effect programs as task bodies, and tasks as effects. Needs the package `effect`. */
export {};
