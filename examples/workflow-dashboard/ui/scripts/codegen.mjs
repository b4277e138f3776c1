// Writes src/graphql/generated.ts from the server's schema and our operations.
// Usage: node scripts/codegen.mjs [SCHEMA]   (default: ../schema.graphql)
import { readFile, writeFile } from 'node:fs/promises';
import { codegen } from '@graphql-codegen/core';
import * as typedDocumentNode from '@graphql-codegen/typed-document-node';
import * as operations from '@graphql-codegen/typescript-operations';
import { buildSchema, parse } from 'graphql';

const schemaText = await readFile(process.argv[2] ?? '../schema.graphql', 'utf8');
const document = parse(await readFile('src/graphql/operations.graphql', 'utf8'));
const scalars = { Position: 'string', Timestamp: 'string', JSON: 'import("../lib/text/json").Json', ID: 'string' };
const out = await codegen({
  filename: 'src/graphql/generated.ts',
  schema: parse(schemaText),
  schemaAst: buildSchema(schemaText),
  documents: [{ location: 'operations.graphql', document }],
  pluginMap: { operations, typedDocumentNode },
  plugins: [{ operations: {} }, { typedDocumentNode: {} }],
  config: { scalars, strictScalars: true, useTypeImports: true, enumType: 'string-literal', nonOptionalTypename: true, skipTypeNameForRoot: true },
});
await writeFile('src/graphql/generated.ts', `// Written by \`npm run codegen\`; do not edit.\n${out}`);
