<?php
// PHP sessions under the built-in server. usage: php -c sessions.ini -d session.save_path=... -S HOST:PORT sessions.php
session_start();
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path === '/login') {
    $_SESSION['name'] = $_GET['name'];
} elseif ($path === '/count') {
    $_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
} elseif ($path === '/logout') {
    session_destroy();
    $_SESSION = [];
}
header('X-Version: php-memcached ' . phpversion('memcached') . ', PHP ' . PHP_VERSION);
echo ($_SESSION['name'] ?? 'nobody'), ' ', ($_SESSION['count'] ?? 0);
