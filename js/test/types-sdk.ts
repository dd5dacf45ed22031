/** The types of the Node library, as a program in TypeScript meets them. `npm run check` compiles this file. */
import {
  Cometify,
  CometifyError,
  MaybePushed,
  type Pushed,
  signature,
} from '../../sdk/node/index.js';

export async function push(order: { id: number }): Promise<Pushed | string | null> {
  const cometify: Cometify = Cometify.fromUrl(undefined, { timeout: 5000, bearer: true });
  const key: string = cometify.token(['chat'], 60, { sub: 'user_7' }) + cometify.secureKey('a,b');
  const position: number = await cometify.position();
  const ended: number = await cometify.disconnect({ subject: key + position });
  await cometify.batch([{ identifier: 'chat', content: order, pushId: 7n }], {
    idempotencyKey: key,
  });
  // @ts-expect-error A misspelled option.
  await cometify.push('chat', 'Hello', { push_id: 7 });
  // @ts-expect-error Neither a subject nor a listener.
  await cometify.disconnect({});
  // @ts-expect-error It is made by fromUrl.
  new Cometify();
  // @ts-expect-error A part of the request is missing.
  signature({ apiSecret: key, method: 'POST' });
  try {
    return await cometify.push(
      'chat',
      { order, ended },
      { secret: true, pushId: '9223372036854775807' },
    );
  } catch (error) {
    if (error instanceof MaybePushed) return error.idempotencyKey;
    if (error instanceof CometifyError && error.status === null) return error.code + error.detail;
    throw error;
  }
}
