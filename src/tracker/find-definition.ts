/** A hook or a store in a configuration: the name of a built-in, or the URL of a module. */
interface Use {
  readonly name: string;
  readonly module?: string | undefined;
}

/**
 * Finds the definition that a configuration names, and loads only that module or the list of built-ins.
 * @param define  the function that makes such a definition: `defineHook`
 * @throws Error for a module that cannot be loaded, or has no definition
 */
export async function findDefinition<Definition extends { readonly name: string }>(
  { name, module }: Use,
  builtIn: () => Promise<Readonly<Record<string, Definition>>>,
  define: string,
): Promise<Definition> {
  if (module === undefined) return Object.values(await builtIn()).find((one) => one.name === name)!;
  const { importDefinition } = await import("../config/import-definition.ts");
  return (await importDefinition(module, define)) as unknown as Definition;
}
