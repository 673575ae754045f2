// What we use of koffi. It is an optional dependency, so the build must not need its own declarations.
declare module "koffi" {
  /** A function of a library: numbers for integers, buffers for pointers that serve one call. */
  type NativeFunction = (...values: (number | Uint8Array | null)[]) => unknown;
  const koffi: {
    /** null: the symbols of the process itself, libc among them. */
    load(path: string | null): { func(prototype: string): NativeFunction };
    /** Returns the address of a buffer's first byte. */
    address(buffer: ArrayBuffer): bigint;
    /** Returns the error number of this thread's last call. */
    errno(): number;
    sizeof(type: string): number;
    readonly os: { readonly errno: Readonly<Record<string, number>> };
  };
  export default koffi;
}
