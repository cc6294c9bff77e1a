# A stand-in of the language of /etc/gitlab/gitlab.rb, and of what Omnibus
# derives for kas from it. It is no part of Omnibus: it was written from what is
# documented and known of it, so that what kasgen writes can be tried without a
# package. It is stricter than Omnibus in one thing: Omnibus takes any key below
# a service, and this knows those that are documented and raises at others.
#
#   ruby gitlab_rb.rb VERSION ROOT...    reads ROOT/etc/gitlab/gitlab.rb, prints JSON for each

require 'base64'
require 'json'
require 'uri'

# Settings behave as Omnibus's: any nested key may be written while a file is
# read, and reading one makes it. When a file that another one reads has ended,
# that is over for the rest of the outer file, too.
class Settings < Hash
  class << self
    attr_accessor :vivify
  end

  attr_reader :path, :known

  def initialize(path, known)
    super()
    @path = path
    @known = known
  end

  def check(key)
    return if known == :any || known.key?(key.to_s)

    raise "unknown key #{path}['#{key}']"
  end

  def [](key)
    check(key)
    key = key.to_s
    return super if key?(key) || !Settings.vivify

    below = known == :any ? :any : known[key]
    self[key] = Settings.new("#{path}['#{key}']", below.is_a?(Hash) ? below : :any)
  end

  def []=(key, value)
    check(key)
    super(key.to_s, value)
  end

  def key?(key)
    super(key.to_s)
  end
end

# The keys of each version.
module Keys
  CLIENT = %w[listen_addresses listen_port listen_https http2_enabled redirect_http_to_https redirect_http_to_https_port
              proxy_protocol real_ip_header real_ip_recursive real_ip_trusted_addresses ssl_certificate ssl_certificate_key
              ssl_client_certificate ssl_verify_client ssl_verify_depth ssl_ciphers ssl_protocols ssl_prefer_server_ciphers
              ssl_session_cache ssl_session_timeout ssl_session_tickets ssl_dhparam ssl_ecdh_curve ssl_conf_command
              ssl_password_file referrer_policy request_buffering_off_path_regex proxy_cache hsts_max_age
              hsts_include_subdomains error_log_level proxy_custom_buffer_size custom_gitlab_server_config dir log_directory
              client_max_body_size proxy_connect_timeout proxy_read_timeout proxy_set_headers].freeze
  DAEMON = %w[enable ha worker_processes worker_connections keepalive_timeout keepalive_time custom_nginx_config
              server_names_hash_bucket_size log_format log_format_escape sendfile tcp_nopush tcp_nodelay gzip_enabled
              gzip_http_version gzip_comp_level gzip_proxied gzip_types proxy_cache_path status hide_server_tokens].freeze
  KAS = %w[enable agent_configuration_poll_period agent_info_cache_ttl agent_info_cache_error_ttl listen_address listen_network
           listen_websocket certificate_file key_file observability_listen_address observability_listen_network
           internal_api_listen_address internal_api_listen_network internal_api_certificate_file internal_api_key_file
           kubernetes_api_listen_address kubernetes_api_certificate_file kubernetes_api_key_file private_api_listen_address
           private_api_listen_network private_api_certificate_file private_api_key_file api_secret_key private_api_secret_key
           websocket_token_secret_key metrics_usage_reporting_period sentry_dsn sentry_environment log_level grpc_log_level dir
           log_directory log_group env_directory env gitlab_address gitlab_external_url extra_config_command redis_socket
           redis_host redis_port redis_username redis_password redis_sentinels redis_sentinels_master_name
           redis_sentinels_password redis_sentinels_ssl redis_sentinels_tls_ca_cert_file redis_sentinels_tls_client_cert_file
           redis_sentinels_tls_client_key_file redis_ssl redis_tls_ca_cert_file redis_tls_client_cert_file
           redis_tls_client_key_file].freeze
  WORKSPACES = { 'enabled' => :leaf, 'listen' => %w[network address listen_grace_period shutdown_grace_period].to_h { |n| [n, :leaf] } }.freeze
  RAILS = %w[gitlab_kas_enabled gitlab_kas_external_url gitlab_kas_internal_url gitlab_kas_external_k8s_proxy_url].freeze
  LETSENCRYPT = %w[enable alt_names contact_emails auto_renew auto_renew_hour auto_renew_minute auto_renew_day_of_month
                   auto_renew_log_directory key_type key_size ec_curve wwwroot owner group authorization_method
                   acme_staging_endpoint acme_production_endpoint].freeze

  def self.since?(version, *other)
    (version <=> other) >= 0
  end

  def self.all(version)
    any = ->(names) { names.to_h { |n| [n, :leaf] } }
    vhost = CLIENT + %w[enable host port https]
    vhost += %w[k8s_proxy_connect_timeout k8s_proxy_send_timeout k8s_proxy_read_timeout k8s_proxy_max_temp_file_size] if since?(version, 18, 11)
    services = { 'gitlab_kas' => any.call(KAS).merge('workspaces' => WORKSPACES), 'gitlab_rails' => any.call(RAILS), 'letsencrypt' => any.call(LETSENCRYPT) }
    if since?(version, 19, 2)
      services['gitlab_kas']['nginx'] = any.call(vhost)
      services['gitlab_rails']['nginx'] = any.call(CLIENT + %w[default_server_enabled])
      services['nginx'] = any.call(DAEMON)
    else
      services['gitlab_kas_nginx'] = any.call(vhost)
      services['nginx'] = any.call(DAEMON + CLIENT)
    end
    services
  end
end

# The names that gitlab.rb may use.
class GitlabRb
  URLS = %w[external_url gitlab_kas_external_url registry_external_url pages_external_url].freeze

  attr_reader :settings, :urls, :version

  def initialize(version, root)
    @version = version
    @root = root
    @urls = {}
    @settings = Keys.all(version).to_h { |name, known| [name, Settings.new(name, known)] }
  end

  def from_file(path)
    Settings.vivify = true
    at = File.join(@root, path)
    instance_eval(File.read(at), at, 1)
  ensure
    Settings.vivify = false
  end

  def respond_to_missing?(name, _all = false)
    @settings.key?(name.to_s) || URLS.include?(name.to_s)
  end

  def method_missing(name, *arguments)
    name = name.to_s
    if URLS.include?(name)
      return @urls[name] if arguments.empty?

      return @urls[name] = arguments.first
    end
    return @settings[name] if @settings.key?(name) && arguments.empty?

    raise "Encountered unsupported config key '#{name}' in /etc/gitlab/gitlab.rb"
  end
end

# What Omnibus makes of the settings.
class Derived
  def initialize(rb)
    @rb = rb
    @kas = rb.settings['gitlab_kas']
    @rails = rb.settings['gitlab_rails']
    @vhost = rb.settings['gitlab_kas_nginx'] || (@kas['nginx'] ||= Settings.new("gitlab_kas['nginx']", :any))
  end

  def since?(*version)
    Keys.since?(@rb.version, *version)
  end

  def kas(key, default)
    @kas.key?(key) ? @kas[key] : default
  end

  def run
    secrets
    pairs
    @kas['enable'] = true unless @kas.key?('enable')
    return unless @kas['enable'] && @rb.urls['external_url']

    agents
    internal
    proxy
  end

  def secrets
    { 'api_secret_key' => 32, 'private_api_secret_key' => 32, 'websocket_token_secret_key' => 72 }.each do |key, size|
      next unless @kas.key?(key)
      raise "gitlab_kas['#{key}'] should be exactly #{size} bytes" if Base64.strict_decode64(@kas[key]).length != size
    end
  end

  # kas itself ends where a listener has a certificate and no key.
  def pairs
    %w[certificate_file internal_api_certificate_file kubernetes_api_certificate_file private_api_certificate_file].each do |cert|
      key = cert.sub('certificate_file', 'key_file')
      raise "gitlab_kas['#{cert}'] and ['#{key}'] go together" if @kas.key?(cert) != @kas.key?(key)
    end
  end

  def agents
    return if @rails.key?('gitlab_kas_external_url')

    gitlab = URI(@rb.urls['external_url'])
    raise "external_url scheme should be 'http' or 'https', got '#{gitlab.scheme}'" unless %w[http https].include?(gitlab.scheme)

    own = @rb.urls['gitlab_kas_external_url']
    websocket = kas('listen_websocket', true)
    if own.nil?
      scheme = (websocket ? 'ws' : 'grpc') + (gitlab.scheme == 'https' ? 's' : '')
      return @rails['gitlab_kas_external_url'] = "#{scheme}://#{gitlab.host}#{gitlab.path}/-/kubernetes-agent/"
    end

    url = URI(own)
    raise 'gitlab_kas_external_url must include a scheme and FQDN' if url.scheme.nil? || url.host.nil?

    @rails['gitlab_kas_external_url'] = own
    return if url.host == gitlab.host

    native = since?(19, 5) && url.scheme == 'grpcs'
    raise "gitlab_kas_external_url scheme must be 'ws' or 'wss'" unless %w[ws wss].include?(url.scheme) || native
    raise "gitlab_kas['listen_websocket'] must be set to `true`" unless websocket || native

    https = url.scheme != 'ws'
    derived = { 'enable' => true, 'host' => url.host, 'port' => https ? 443 : 80, 'https' => https }
    if https
      derived['ssl_certificate'] = "/etc/gitlab/ssl/#{url.host}.crt"
      derived['ssl_certificate_key'] = "/etc/gitlab/ssl/#{url.host}.key"
    end
    derived.each { |key, value| @vhost[key] = value unless @vhost.key?(key) }
  end

  def internal
    return if @rails.key?('gitlab_kas_internal_url')

    network = kas('internal_api_listen_network', 'tcp')
    raise "gitlab_kas['internal_api_listen_network'] should be 'tcp', 'tcp4', 'tcp6' or 'unix' got '#{network}'" unless %w[tcp tcp4 tcp6 unix].include?(network)

    @rails['gitlab_kas_internal_url'] = "#{network == 'unix' ? 'unix' : 'grpc'}://#{kas('internal_api_listen_address', 'localhost:8153')}"
  end

  def proxy
    return if @rails.key?('gitlab_kas_external_k8s_proxy_url')

    own = @rb.urls['gitlab_kas_external_url']
    @rails['gitlab_kas_external_k8s_proxy_url'] =
      if own.nil? || URI(own).host == URI(@rb.urls['external_url']).host
        "#{@rb.urls['external_url']}/-/kubernetes-agent/k8s-proxy/"
      else
        "#{URI(own).scheme == 'wss' ? 'https' : 'http'}://#{URI(own).host}/k8s-proxy/"
      end
  end
end

# Without what was only looked at.
def plain(value)
  return value unless value.is_a?(Hash)

  value.to_h { |k, v| [k, plain(v)] }.reject { |_, v| v == {} }
end

if $PROGRAM_NAME == __FILE__
  version = ARGV.shift.split('.').map(&:to_i)
  ARGV.each do |root|
    rb = GitlabRb.new(version, root)
    rb.from_file('/etc/gitlab/gitlab.rb')
    Derived.new(rb).run
    puts JSON.pretty_generate(rb.urls.merge(plain(rb.settings)).sort.to_h)
  end
end
