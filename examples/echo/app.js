/** The events of a public channel and of two private ones, and the status of the connection. */
import { CometifyConnector } from 'cometify/echo';
import Echo from 'laravel-echo';

const { apiKey, server, auth } = document.getElementById('app').dataset;
const echo = new Echo({
  broadcaster: CometifyConnector,
  key: apiKey,
  server,
  authEndpoint: auth,
});

function show(text) {
  const item = document.createElement('li');
  item.textContent = text;
  document.querySelector('ul').append(item);
}

function complain({ detail }) {
  document.getElementById('errors').textContent += `${detail} `;
}

echo.channel('news').listen('Published', ({ title }) => show(`news: ${title}`));
echo
  .private('orders.5')
  .listen('.order.paid', ({ total }) => show(`orders.5: ${total}`))
  .error(complain);
echo.private('orders.6').error(complain);

echo.connector.onConnectionChange((status) => {
  document.getElementById('state').textContent = status;
});
document.getElementById('leave').onclick = () => echo.leave('orders.5');
