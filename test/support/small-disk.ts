/** A disk that is soon full. */
import { execFileSync } from "node:child_process";

/** Mounts a disk of 64 KiB on a folder. Returns false where that takes a privilege that is missing. */
export function mountSmallDisk(folder: string): boolean {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Takes it away again, whoever still uses it. */
export function unmountSmallDisk(folder: string): void {
  execFileSync("umount", ["-l", folder]);
}
