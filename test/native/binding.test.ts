import { afterEach, describe, expect, it, vi } from "vitest";
import { type CoopError, UnsupportedError } from "../../src/coordinator/errors.ts";
import { assertLayout, describeSetupFailure, loadBinding, openRing } from "../../src/native/binding.ts";
import * as k from "../../src/native/layout.ts";

afterEach(() => {
  vi.doUnmock("node:module");
  vi.resetModules();
});

function caught(run: () => unknown): Error {
  try {
    run();
  } catch (error) {
    return error as Error;
  }
  throw new Error("it did not throw");
}

/** The loader as it is in a new process, with `require` replaced. */
async function loaderWith(require: (path: string) => unknown) {
  vi.resetModules();
  vi.doMock("node:module", () => ({ createRequire: () => require }));
  return import("../../src/native/binding.ts");
}

function failing(code: string, message: string): (path: string) => never {
  return () => {
    throw Object.assign(new Error(message), { code });
  };
}

describe("the loader", () => {
  it("loads once", () => {
    expect(loadBinding()).toBe(loadBinding());
  });

  it("shares every number with the C headers", () => {
    const native = loadBinding().layout();
    const names = Object.keys(k).filter((name) => name !== "ALLOWED_OPCODES");
    expect(Object.keys(native).sort()).toEqual(names.sort());
    expect(names.length).toBeGreaterThan(350);
    expect(() => assertLayout(native)).not.toThrow();
  });

  it("U12 refuses an addon of another version", () => {
    const native = loadBinding().layout();
    expect(() => assertLayout({ ...native, SQE_SIZE: 128 })).toThrow(/SQE_SIZE is 128 there and 64 here/);
    expect(() => assertLayout({ ...native, OP_NEW: 1 })).toThrow(/OP_NEW is 1 there and undefined here/);
    const { OP_PIPE: _, ...older } = native;
    expect(() => assertLayout(older)).toThrow(/OP_PIPE is not there/);
  });

  it("U12 says what to do when there is no addon", async () => {
    const loader = await loaderWith(failing("MODULE_NOT_FOUND", "Cannot find module"));
    const error = caught(loader.loadBinding);
    expect(error).toBeInstanceOf(UnsupportedError);
    expect((error as CoopError).code).toBe("COOP_UNSUPPORTED");
    expect(error.message).toMatch(/missing for linux-.*npm run build:native.*node-addon-api/);
    expect((error.cause as Error).message).toBe("Cannot find module");
  });

  it("U12 names the reason when it does not load, even if another place has none", async () => {
    const failures = [
      failing("ERR_DLOPEN_FAILED", "wrong ELF class"),
      failing("MODULE_NOT_FOUND", "no such file"),
    ];
    const loader = await loaderWith((path) => failures.shift()?.(path));
    const error = caught(loader.loadBinding);
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.message).toMatch(/built for another system.*wrong ELF class/);
  });

  it("U12 tells that addons are switched off", async () => {
    const loader = await loaderWith(failing("ERR_DLOPEN_DISABLED", "Cannot load native addon"));
    expect(() => loader.loadBinding()).toThrow(/told not to load native addons/);
  });

  it("U11 refuses under the permission model, which a ring would bypass", async () => {
    const process_ = process as { permission?: unknown };
    const loader = await loaderWith(failing("NEVER", "must not be tried"));
    process_.permission = { has: () => true };
    try {
      expect(() => loader.loadBinding()).toThrow(/permission model/);
    } finally {
      delete process_.permission;
    }
  });

  it("refuses other systems without trying", async () => {
    const loader = await loaderWith(failing("NEVER", "must not be tried"));
    const platform = vi.spyOn(process, "platform", "get").mockReturnValue("darwin");
    try {
      expect(() => loader.loadBinding()).toThrow(/this is darwin/);
    } finally {
      platform.mockRestore();
    }
  });
});

describe("openRing", () => {
  it("P20 wraps what the kernel answered, with likely causes", () => {
    const error = caught(() =>
      openRing({ sqEntries: 4, cqEntries: 8, opcodes: [], without: k.SETUP_CQSIZE }),
    );
    // Every rung of the chain needs that flag, so this is the answer of a kernel that is too old.
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.message).toMatch(/^no io_uring here: EINVAL: the kernel is too old/);
    expect(error.cause).toMatchObject({ code: "EINVAL", errno: -22, syscall: "io_uring_setup" });
  });

  it("says which option is wrong", () => {
    expect(() => openRing({ sqEntries: 0, cqEntries: 8, opcodes: [] })).toThrow(
      expect.objectContaining({
        code: "COOP_ARGUMENT",
        message: expect.stringMatching(/^sqEntries/),
        cause: expect.any(RangeError),
      }),
    );
  });
});

describe("describeSetupFailure", () => {
  it.each([
    [38, "ENOSYS", "seccomp"],
    [1, "EPERM", "io_uring_disabled"],
    [13, "EACCES", "security module"],
    [12, "ENOMEM", "ulimit -l"],
    [24, "EMFILE", "ulimit -n"],
    [23, "ENFILE", "fs.file-max"],
    [95, "EOPNOTSUPP", "too old"],
    [22, "EINVAL", "too old"],
  ])("P20 explains errno %i, %s", (errno, name, cause) => {
    const text = describeSetupFailure(errno);
    expect(text.startsWith(`${name}: `)).toBe(true);
    expect(text).toContain(cause);
  });

  it("stays sensible for numbers nobody expects", () => {
    for (const errno of [0, -1, 4096, 1.5, Number.NaN]) {
      expect(describeSetupFailure(errno)).toContain(`errno ${errno}: the kernel refused`);
    }
    expect(describeSetupFailure(5)).toContain("EIO: the kernel refused");
  });
});
