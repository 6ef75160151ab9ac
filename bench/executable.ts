/** Finds programs that are no packages of ours. */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import path from 'node:path';

/** On the PATH, or else in the first of `folders` that has it. */
export async function findExecutable(name: string, folders: () => Promise<string[]>): Promise<string | undefined> {
  const onPath = (process.env['PATH'] ?? '').split(path.delimiter).filter((folder) => folder !== '');
  return (await firstIn(onPath, name)) ?? firstIn(await folders(), name);
}

async function firstIn(folders: readonly string[], name: string): Promise<string | undefined> {
  const executable = process.platform === 'win32' ? `${name}.exe` : name;
  for (const folder of folders) {
    const file = path.join(folder, executable);
    const found = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) {
      return file;
    }
  }
  return undefined;
}
